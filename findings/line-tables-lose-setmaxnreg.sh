#!/bin/bash
# Line tables cost a warp-specialised Hopper kernel its register split, and nothing fails.
#
# A kernel that moves registers between warpgroups (setmaxnreg) is compiled twice from one LLVM IR, which differs in the
# emissionKind of its compile unit alone: LineTablesOnly, what -gline-tables-only and most code generators mean by "line
# information", and DebugDirectivesOnly.
# Expected: the same machine code; lines are no reason to change it (nvcc -lineinfo does not).
# Seen with llvmlite 0.50.0 (LLVM 22.1.0), ptxas and nvdisasm 13.5.37: with LineTablesOnly LLVM writes
#     .target sm_90a, debug
# ptxas then assembles successfully, says "info : (C7505) ... 'setmaxnreg' ignored to allow debugging", and the cubin has no
# USETMAXREG; the consumer that wants 232 registers has what the launch gave it. With DebugDirectivesOnly the .loc lines
# are there too, and both USETMAXREG.
#
#   findings/line-tables-lose-setmaxnreg.sh      needs python3 with venv, and the package index; exits 0 while this is so
set -euo pipefail

folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install -q --disable-pip-version-check llvmlite==0.50.0
"$folder/venv/bin/pip" download -q --disable-pip-version-check --no-deps -d "$folder" \
  nvidia-cuda-nvcc==13.5.37 nvidia-cuda-nvdisasm==13.5.37
cat >"$folder/finding.py" <<'PYTHON'
import glob, os, subprocess, sys, zipfile
import llvmlite
import llvmlite.binding as llvm

folder = sys.argv[1]
tools = {}
for wheel in glob.glob(folder + "/*.whl"):
    archive = zipfile.ZipFile(wheel)
    for name in archive.namelist():
        if name.endswith(("/bin/ptxas", "/bin/nvdisasm")):
            tools[os.path.basename(name)] = path = os.path.join(folder, os.path.basename(name))
            with open(path, "wb") as out:
                out.write(archive.read(name))
            os.chmod(path, 0o755)

IR = """
target triple = "nvptx64-nvidia-cuda"
declare void @llvm.nvvm.setmaxnreg.inc.sync.aligned.u32(i32 immarg)
declare void @llvm.nvvm.setmaxnreg.dec.sync.aligned.u32(i32 immarg)
declare i32 @llvm.nvvm.read.ptx.sreg.tid.x()
define ptx_kernel void @split(ptr addrspace(1) %out) "nvvm.maxntid"="256" "nvvm.minctasm"="1" !dbg !4 {
  %thread = call i32 @llvm.nvvm.read.ptx.sreg.tid.x(), !dbg !6
  %producer = icmp ult i32 %thread, 128, !dbg !6
  br i1 %producer, label %gives, label %takes, !dbg !6
gives:
  call void @llvm.nvvm.setmaxnreg.dec.sync.aligned.u32(i32 24), !dbg !6
  br label %end, !dbg !6
takes:
  call void @llvm.nvvm.setmaxnreg.inc.sync.aligned.u32(i32 232), !dbg !6
  br label %end, !dbg !6
end:
  %place = getelementptr i32, ptr addrspace(1) %out, i32 %thread, !dbg !6
  store i32 %thread, ptr addrspace(1) %place, !dbg !6
  ret void, !dbg !6
}
!llvm.dbg.cu = !{!0}
!llvm.module.flags = !{!2, !3}
!0 = distinct !DICompileUnit(language: DW_LANG_C, file: !1, isOptimized: true, runtimeVersion: 0, emissionKind: KIND)
!1 = !DIFile(filename: "split.c", directory: "/")
!2 = !{i32 2, !"Dwarf Version", i32 2}
!3 = !{i32 2, !"Debug Info Version", i32 3}
!4 = distinct !DISubprogram(name: "split", file: !1, line: 1, type: !5, unit: !0, spFlags: DISPFlagDefinition | DISPFlagOptimized)
!5 = !DISubroutineType(types: !7)
!6 = !DILocation(line: 2, column: 1, scope: !4)
!7 = !{null}
"""

llvm.initialize_all_targets()
llvm.initialize_all_asmprinters()
machine = llvm.Target.from_triple("nvptx64-nvidia-cuda").create_target_machine(cpu="sm_90a", features="+ptx80", opt=3)
print("llvmlite", llvmlite.__version__, "LLVM", ".".join(map(str, llvm.llvm_version_info)))
seen = {}
for kind in ("LineTablesOnly", "DebugDirectivesOnly"):
    ptx = machine.emit_assembly(llvm.parse_assembly(IR.replace("KIND", kind)))
    path = os.path.join(folder, kind)
    with open(path + ".ptx", "w") as out:
        out.write(ptx)
    done = subprocess.run([tools["ptxas"], "-v", "-arch=sm_90a", "-o", path + ".cubin", path + ".ptx"], capture_output=True, text=True)
    code = subprocess.run([tools["nvdisasm"], path + ".cubin"], capture_output=True, text=True).stdout
    target, = [line for line in ptx.splitlines() if line.startswith(".target")]
    seen[kind] = (target, ptx.count("\t.loc\t") > 0, done.returncode, "C7505" in done.stdout + done.stderr, code.count("USETMAXREG"))
    print(f"{kind}: '{target}', .loc {seen[kind][1]}, ptxas status {done.returncode}, C7505 {seen[kind][3]}, USETMAXREG {seen[kind][4]}")
expected = {"LineTablesOnly": (".target sm_90a, debug", True, 0, True, 0),
            "DebugDirectivesOnly": (".target sm_90a", True, 0, False, 2)}
if seen != expected:
    sys.exit(f"changed: expected {expected}")
print("as described")
PYTHON
"$folder/venv/bin/python" "$folder/finding.py" "$folder"
