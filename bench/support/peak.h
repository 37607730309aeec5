// Instruction peaks of this machine, measured: what a kernel's speed is a share of.
#pragma once

#include <string_view>

#include "voxgemm/types.h"

namespace voxgemm::bench {

/// A stream of independent multiply-accumulate instructions on registers.
struct Peak {
  std::string_view instruction;  ///< "vpdpbusd zmm"
  double macs_per_loop = 0.0;
  void (*loop)(long count) = nullptr;  ///< runs `count` loops
};

/// The instruction that rows of this ISA and input type are made of; loop is null for scalar rows. The caller
/// makes sure that the machine has it.
Peak peak_of(Isa isa, DType in_dtype);

/// CPU seconds of the calling thread: what other processes do to the clock on the wall stays out.
double thread_seconds();

/// Multiply-accumulates per second over a burst of about `seconds`.
double measure(const Peak& peak, double seconds);

}  // namespace voxgemm::bench
