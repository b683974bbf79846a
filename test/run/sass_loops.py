#!/usr/bin/env python3
"""The reader of NVIDIA's machine code finds the loop that multiplies and what lies in it, in a listing written by hand."""
import os
import sys
import unittest

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "bench"))
import machine_code

LISTING = """
\t.section\t.text.attend,"ax",@progbits
.L_x_0:
        /*0000*/                   MOV R1, c[0x0][0x28] ;
        /*0010*/                   STL [R1], R2 ;
.L_x_1:
        /*0020*/                   HGMMA.64x64x16.F32 R24, gdesc[UR4], R24, !UPT ;
        /*0030*/                   WARPGROUP.DEPBAR.LE gsb0, 0x1 ;
        /*0040*/              @!P1 BRA `(.L_x_3) ;
.L_x_2:
        /*0050*/                   WARPGROUP.ARRIVE ;
        /*0060*/                   HGMMA.64x64x16.F32 R24, gdesc[UR4], R24, gsb0 ;
        /*0070*/              @P0  HGMMA.64x64x16.F32 R24, gdesc[UR8], R24, gsb0 ;
        /*0080*/                   WARPGROUP.DEPBAR.LE gsb0, 0x1 ;
        /*0090*/                   MUFU.EX2 R3, R3 ;
        /*00a0*/                   MUFU.RCP R3, R3 ;
        /*00b0*/                   BAR.SYNC.DEFER_BLOCKING 0x1, 0x80 ;
        /*00c0*/                   WARPGROUP.DEPBAR.LE gsb0, 0x0 ;
        /*00d0*/                   MUFU.EX2 R4, R4 ;
        /*00e0*/              @!P0 BRA `(.L_x_2) ;
        /*00f0*/               @P2 BRA `(.L_x_1) ;
        /*0100*/                   EXIT ;
.L_x_3:
        /*0110*/                   SYNCS.PHASECHK.TRANS64.TRYWAIT P1, [R2], R3 ;
        /*0120*/                   BRA `(.L_x_2) ;
\t.section\t.text.plain,"ax",@progbits
.L_x_4:
        /*0000*/                   FADD R1, R1, R1 ;
        /*0010*/                   BRA `(.L_x_4) ;
"""


class MachineCode(unittest.TestCase):
    code = machine_code.functions(LISTING)

    def test_finds_the_innermost_loop(self):
        self.assertEqual(sorted(self.code), ["attend", "plain"])
        self.assertEqual([len(body) for body in machine_code.loops(self.code["attend"])], [10, 14])
        self.assertIsNone(machine_code.summary(self.code["plain"]))

    def test_counts_what_lies_in_it(self):
        row = machine_code.summary(self.code["attend"])
        self.assertEqual((row["instructions"], row["products"], row["per product"]), (10, 2, 5.0))
        self.assertEqual((row["waits"], row["fences"], row["barriers"], row["spills"]), (2, 1, 1, 1))
        self.assertEqual((row["between waits"], row["exponentials"]), (1, 2))
        self.assertEqual(row["order"], "fence productx2 wait<1> exp barrier wait<0> exp")


if __name__ == "__main__":
    unittest.main()
