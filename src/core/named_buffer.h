// Buffers whose refusal says what they are for.
#pragma once

#include <fmt/format.h>

#include <cstddef>

#include "voxgemm/context.h"
#include "voxgemm/error.h"

namespace voxgemm {

/// A Buffer, or Error(kOutOfMemory, "<what()>: out of memory: <bytes> bytes on <device>"). `what` is asked
/// only then and names the values that decided the size.
template <typename What>
Buffer named_buffer(Context& context, std::size_t bytes, What what) {
  try {
    return {context, bytes};
  } catch (const Error& error) {
    throw Error(error.code(), fmt::format("{}: {}", what(), error.what()));
  }
}

}  // namespace voxgemm
