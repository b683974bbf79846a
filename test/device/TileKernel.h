// A tile kernel lowered, emulated and launched: matrices of the test become the parameters that tile.launch lists.
#pragma once
#include "lib/Kernels/KernelText.h"
#include "mlir/Dialect/GPU/IR/GPUDialect.h"
#include "mlir/Pass/PassManager.h"
#include "passes/AMD/Passes.h"
#include "passes/NVIDIA/Passes.h"
#include "test/device/EmulatedKernel.h"
#include <gtest/gtest.h>
#include <optional>

namespace stepdown::test {

/// A bf16 or f32 matrix [rows, columns], or one of the element that it names as MLIR does (f16, f8E4M3FN, f8E5M2, i8,
/// i32), whose rows lie `stride` elements apart; what is not set is NaN, or -1.
struct Matrix {
  uint32_t rows, columns, stride;
  bool narrow;
  std::string element;
  std::vector<uint8_t> bytes;

  Matrix(uint32_t rows, uint32_t columns, uint32_t stride, bool narrow, std::string element = "")
      : rows(rows), columns(columns), stride(stride), narrow(narrow), element(std::move(element)),
        bytes(size_t(rows) * stride * size(), 0xff) {}
  bool eights() const { return element == "i8" || llvm::StringRef(element).starts_with("f8"); }
  size_t size() const { return eights() ? 1 : narrow ? 2 : 4; }
  const llvm::fltSemantics &semantics() const {
    return element == "f8E5M2" ? llvm::APFloat::Float8E5M2() : llvm::APFloat::Float8E4M3FN();
  }
  double get(uint32_t r, uint32_t c) const {
    const uint8_t *at = &bytes[(size_t(r) * stride + c) * size()];
    if (element == "i8")
      return int8_t(*at);
    if (element == "i32")
      return *reinterpret_cast<const int32_t *>(at);
    if (eights())
      return llvm::APFloat(semantics(), llvm::APInt(8, *at)).convertToDouble();
    if (element == "f16")
      return f16ToF32(*reinterpret_cast<const uint16_t *>(at));
    if (narrow)
      return fromBf16(*reinterpret_cast<const uint16_t *>(at));
    return *reinterpret_cast<const float *>(at);
  }
  void set(uint32_t r, uint32_t c, float value) {
    uint8_t *at = &bytes[(size_t(r) * stride + c) * size()];
    if (element == "i8") {
      *at = uint8_t(int8_t(value));
    } else if (eights()) {
      llvm::APFloat rounded(value);
      bool inexact;
      rounded.convert(semantics(), llvm::APFloat::rmNearestTiesToEven, &inexact);
      *at = uint8_t(rounded.bitcastToAPInt().getZExtValue());
    } else if (element == "f16")
      *reinterpret_cast<uint16_t *>(at) = f32ToF16(value);
    else if (narrow)
      *reinterpret_cast<uint16_t *>(at) = toBf16(value);
    else
      *reinterpret_cast<float *>(at) = value;
  }
};

/// The map of packed blocks of a weight [tiles, blocks] of so many bytes, of words as `box` has them: [tiles, pieces of
/// blocks, words].
inline stepdown_tensor_map blockMap(const void *blocks, size_t bytes, uint32_t tiles, mlir::MemRefType box) {
  stepdown_tensor_map map = {};
  const uint32_t words = uint32_t(box.getDimSize(2)), row = uint32_t(bytes / tiles);
  map.address = reinterpret_cast<uint64_t>(blocks);
  map.sizes[0] = words, map.sizes[1] = row / 8 / words, map.sizes[2] = tiles;
  map.strides[0] = words * 8 / 16, map.strides[1] = row / 16;
  for (int i = 0; i < 3; ++i)
    map.box[i] = uint16_t(box.getDimSize(2 - i)), map.step[i] = 1;
  map.rank = 3, map.element_bytes = 8, map.check = STEPDOWN_EMULATION_MAGIC;
  return map;
}

/// The parameters of a launch as the lowered kernel's tile.launch lists them.
struct Launch {
  std::vector<uint8_t> parameters;
  emulated::LaunchShape shape;
  std::vector<Matrix *> matrices;

  template <typename T> void append(T value, size_t alignment = alignof(T)) {
    parameters.resize((parameters.size() + alignment - 1) / alignment * alignment);
    const auto *bytes = reinterpret_cast<const uint8_t *>(&value);
    parameters.insert(parameters.end(), bytes, bytes + sizeof value);
  }

  /// `blocks` makes the map of a matrix of packed blocks, for its box of words.
  Launch(mlir::DictionaryAttr launch, std::vector<Matrix *> all,
         llvm::function_ref<stepdown_tensor_map(mlir::MemRefType)> blocks = {})
      : matrices(std::move(all)) {
    for (auto parameter : launch.getAs<mlir::ArrayAttr>("parameters").getAsRange<mlir::DictionaryAttr>()) {
      Matrix &matrix = *matrices[parameter.getAs<mlir::IntegerAttr>("argument").getInt()];
      const llvm::StringRef holds = parameter.getAs<mlir::StringAttr>("holds").getValue();
      if (holds == "map") {
        auto box = mlir::cast<mlir::MemRefType>(parameter.getAs<mlir::TypeAttr>("box").getValue());
        if (box.getRank() == 3) {
          append(blocks(box), 64);
          continue;
        }
        if (reinterpret_cast<uint64_t>(matrix.bytes.data()) % 16 || matrix.stride * matrix.size() % 16) {
          EXPECT_TRUE(parameter.contains("or_pointer"))
              << "argument " << parameter.getAs<mlir::IntegerAttr>("argument").getInt()
              << ": expects rows of whole 16 bytes, of which a map describes a matrix";
          append(stepdown_tensor_map(), 64); // the kernel goes by the address
          continue;
        }
        append(tensorMap(matrix.bytes.data(), matrix.rows, matrix.columns, matrix.stride, box.getDimSize(0),
                         box.getDimSize(1), 3, box.getElementTypeBitWidth() / 8),
               64);
      } else if (holds == "pointer") {
        append(reinterpret_cast<uint64_t>(matrix.bytes.data()));
      } else if (holds == "stride") {
        append(uint64_t(matrix.stride));
      } else {
        append(holds == "rows" ? matrix.rows : matrix.columns);
      }
    }
    shape.block = {uint32_t(launch.getAs<mlir::IntegerAttr>("threads").getInt()), 1, 1};
    shape.sharedBytes = uint32_t(launch.getAs<mlir::IntegerAttr>("shared_bytes").getInt());
    if (auto blocks = launch.getAs<mlir::IntegerAttr>("cluster"))
      shape.cluster = uint32_t(blocks.getInt());
  }

  /// Executes the kernel `name`, which may read the matrices and write the last.
  Status run(emulated::Emulator &emulator, const char *name, const emulated::Options &options = {}) {
    for (Matrix *matrix : matrices)
      if (!matrix->bytes.empty())
        emulator.map(matrix->bytes.data(), matrix->bytes.size(), matrix == matrices.back());
    Status status = emulator.launch(name, shape, parameters.data(), parameters.size(), options);
    for (Matrix *matrix : matrices)
      if (!matrix->bytes.empty())
        emulator.unmap(matrix->bytes.data());
    return status;
  }
};

/// The kernel of a module that has one: lowered in place for `chip`, and as code in an emulator.
struct TileKernel {
  std::string error;
  std::optional<KernelModule> translated;
  std::optional<EmulatedKernel> code;
  mlir::LLVM::LLVMFuncOp function;

  explicit TileKernel(mlir::ModuleOp module, bool load = true, const std::string &chip = "sm_90a") {
    mlir::PassManager passes(module.getContext());
    const bool amd = llvm::StringRef(chip).starts_with("gfx");
    if (amd)
      passes.addPass(createLowerTileToROCDL({chip}));
    else
      passes.addPass(createLowerTileToNVVM({chip}));
    if (failed(passes.run(module))) {
      error = amd ? "lower-tile-to-rocdl" : "lower-tile-to-nvvm";
      return;
    }
    auto kernels = *module.getOps<mlir::gpu::GPUModuleOp>().begin();
    function = *kernels.getOps<mlir::LLVM::LLVMFuncOp>().begin();
    Result<KernelModule> made = translateKernels(kernels, chip);
    if (!made) {
      error = made.error().text();
      return;
    }
    translated = std::move(*made);
    if (!load)
      return;
    code.emplace(*translated->module);
    error = code->error;
  }
  mlir::DictionaryAttr launch() { return function->getAttrOfType<mlir::DictionaryAttr>("tile.launch"); }
};

} // namespace stepdown::test
