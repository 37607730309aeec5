# Toolchain file: cross compilation for 64-bit ARM with Debian's cross compiler (g++-aarch64-linux-gnu); tests run under
# user-mode QEMU (qemu-user) when it is there. tools/aarch64-check makes all that is needed and uses it.
# Environment: VOXGEMM_AARCH64_ROOT, a folder in which arm64 packages of the libraries are unpacked; none when they are
# installed beside those of this machine (apt-get install libtbb-dev:arm64 ...).
set(CMAKE_SYSTEM_NAME Linux)
set(CMAKE_SYSTEM_PROCESSOR aarch64)
set(CMAKE_C_COMPILER aarch64-linux-gnu-gcc)
set(CMAKE_CXX_COMPILER aarch64-linux-gnu-g++)

# Programs are those of this machine, all else is the other's.
set(CMAKE_FIND_ROOT_PATH_MODE_PROGRAM NEVER)
set(voxgemm_root "$ENV{VOXGEMM_AARCH64_ROOT}")
set(voxgemm_libraries "${voxgemm_root}/usr/lib/aarch64-linux-gnu:${voxgemm_root}/lib/aarch64-linux-gnu")
if(voxgemm_root)
  set(CMAKE_FIND_ROOT_PATH "${voxgemm_root}" /usr/aarch64-linux-gnu)
  set(CMAKE_FIND_ROOT_PATH_MODE_LIBRARY ONLY)
  set(CMAKE_FIND_ROOT_PATH_MODE_INCLUDE ONLY)
  set(CMAKE_FIND_ROOT_PATH_MODE_PACKAGE ONLY)
  add_link_options("LINKER:-rpath-link,${voxgemm_libraries}")  # what the libraries need in turn
endif()
find_program(VOXGEMM_QEMU qemu-aarch64)
if(VOXGEMM_QEMU)
  set(CMAKE_CROSSCOMPILING_EMULATOR
    ${VOXGEMM_QEMU} -L /usr/aarch64-linux-gnu -E LD_LIBRARY_PATH=${voxgemm_libraries})
endif()
