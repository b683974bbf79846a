/* What one element of an array is, in artifacts and in the C API. */
#ifndef STEPDOWN_ELEMENT_H
#define STEPDOWN_ELEMENT_H

enum stepdown_element {
  STEPDOWN_F32 = 0,
  STEPDOWN_F16 = 1,
  STEPDOWN_BF16 = 2,
  STEPDOWN_F64 = 3,
  STEPDOWN_I1 = 4, /* a byte, 0 or 1 */
  STEPDOWN_I8 = 5,
  STEPDOWN_I16 = 6,
  STEPDOWN_I32 = 7,
  STEPDOWN_I64 = 8,
  STEPDOWN_INDEX = 9,     /* 8 bytes, signed */
  STEPDOWN_F8E4M3FN = 10, /* 4 bits of exponent, 3 of fraction; no infinities, one NaN of each sign */
  STEPDOWN_F8E5M2 = 11    /* 5 bits of exponent, 2 of fraction */
};

#endif
