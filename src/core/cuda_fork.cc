#include "core/cuda_fork.h"

#include "core/cuda_device.h"

namespace voxgemm::cuda {

ForkPool::ForkPool(std::int32_t device_index) {
  for (Slot& slot : slots_) {
    slot.stream = create_stream(device_index);
    for (void*& event : slot.events) event = create_event(device_index);
  }
}

ForkPool::~ForkPool() {
  for (Slot& slot : slots_) {
    for (void* event : slot.events) destroy_event(event);
    destroy_stream(slot.stream);
  }
}

const ForkPool::Slot* ForkPool::slot_of(void* stream) noexcept {
  for (Slot& slot : slots_) {
    void* owner = slot.owner.load(std::memory_order_acquire);
    if (owner == nullptr && slot.owner.compare_exchange_strong(owner, stream, std::memory_order_acq_rel)) {
      return &slot;
    }
    if (owner == stream) return &slot;
  }
  return nullptr;
}

}  // namespace voxgemm::cuda
