"""lit configuration: the .mlir tests beside this file, which mirror the source tree."""
import lit.formats

config.name = "Stepdown"
config.test_format = lit.formats.ShTest(not lit.util.which("bash"))
config.suffixes = [".mlir", ".test"]
config.excludes = ["unit", "data", "bench", "fuzz"]
config.test_source_root = config.stepdown_source_root + "/test"
config.test_exec_root = config.stepdown_binary_root + "/test"
config.environment["PATH"] = ":".join(
    [config.stepdown_binary_root + "/bin", config.llvm_tools_dir, config.environment["PATH"]])
config.substitutions.append(("%python", config.python))
config.substitutions.append(("%source", config.stepdown_source_root))
