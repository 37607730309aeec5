// Graphs and timed events of the CUDA runtime behind plain functions, as in cuda_device.h. Results are 0 or a
// cudaError_t.
#pragma once

#include <cstddef>
#include <cstdint>

namespace voxgemm::cuda {

/// Starts to record what this thread enqueues on the stream.
std::int32_t begin_capture(void* stream) noexcept;
/// Stops; *graph is null when the recording is not usable.
std::int32_t end_capture(void* stream, void** graph) noexcept;
/// Makes a recording launchable and hands it to the device.
std::int32_t instantiate_graph(void* graph, void* stream, void** executable, std::size_t* nodes) noexcept;
std::int32_t launch_graph(void* executable, void* stream) noexcept;
void destroy_graph(void* graph) noexcept;
void destroy_executable(void* executable) noexcept;

/// Throws kDevice.
void* create_timed_event(std::int32_t device_index);
/// A stream that is being captured records it as a node of the graph.
std::int32_t record_timed_event(void* event, void* stream) noexcept;
std::int32_t elapsed_microseconds(void* from, void* to, double* microseconds) noexcept;

}  // namespace voxgemm::cuda
