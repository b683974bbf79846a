// What test programs without LLVM need beside that: GoogleTest.
#pragma once
#include "cmake/PlainPrecompiled.h"
#include <gtest/gtest.h>
