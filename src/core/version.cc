#include "voxgemm/version.h"

#define VOXGEMM_TEXT_OF(value) #value
#define VOXGEMM_TEXT(value) VOXGEMM_TEXT_OF(value)

namespace voxgemm {

std::string_view version() noexcept {
  return VOXGEMM_TEXT(VOXGEMM_VERSION_MAJOR) "." VOXGEMM_TEXT(VOXGEMM_VERSION_MINOR) "." VOXGEMM_TEXT(
      VOXGEMM_VERSION_PATCH);
}

}  // namespace voxgemm
