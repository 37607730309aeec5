// The version of voxgemm, here and nowhere else: CMake, the package files and the program read it from these
// lines.
#pragma once

#include <string_view>

#include "voxgemm/types.h"

/// Version of these headers. Before 1.0 a new minor version may change the API and the ABI, a patch changes
/// neither.
#define VOXGEMM_VERSION_MAJOR 0
#define VOXGEMM_VERSION_MINOR 1
#define VOXGEMM_VERSION_PATCH 0

namespace voxgemm {

/// "major.minor.patch" of the library that is linked or loaded; that of the headers is in the macros above.
VOXGEMM_API std::string_view version() noexcept;

}  // namespace voxgemm
