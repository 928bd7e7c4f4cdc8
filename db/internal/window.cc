#include "db/internal/window.h"

#include <algorithm>
#include <cstring>
#include <numeric>
#include <utility>

#include "format/checksum.h"

namespace tidemark::internal {
namespace {

constexpr size_t kSlotsMin = 64;

/// One layer with the newest entry of each id of `layers` (newest first).
std::shared_ptr<const Layer> Merge(const LayerStack& layers) {
  auto merged = std::make_shared<Layer>();
  for (size_t at = layers.size(); at > 0; --at) {
    const Layer& layer = *layers[at - 1];
    for (size_t i = 0; i < layer.size(); ++i) {
      const Layer::Node& node = layer.node(i);
      const std::string_view id = layer.id(node);
      merged->Set(node.entity, id, KeyHash(node.entity, id), node.entry);
    }
  }
  return merged;
}

}  // namespace

uint64_t KeyHash(EntityNumber entity, std::string_view id) {
  return Hash64(id) ^ (uint64_t{entity} * 0x9E3779B97F4A7C15ULL);
}

size_t Layer::Probe(EntityNumber entity, std::string_view id, uint64_t hash) const {
  const size_t mask = slots_.size() - 1;
  const auto short_hash = static_cast<uint32_t>(hash >> 32);
  for (size_t at = hash & mask;; at = (at + 1) & mask) {
    const Slot& slot = slots_[at];
    if (slot.node == 0) return at;
    if (slot.hash != short_hash) continue;
    const Node& node = nodes_[slot.node - 1];
    if (node.entity == entity && this->id(node) == id) return at;
  }
}

const IndexEntry* Layer::Find(EntityNumber entity, std::string_view id, uint64_t hash) const {
  if (nodes_.empty()) return nullptr;
  const Slot& slot = slots_[Probe(entity, id, hash)];
  return slot.node == 0 ? nullptr : &nodes_[slot.node - 1].entry;
}

void Layer::Set(EntityNumber entity, std::string_view id, uint64_t hash, IndexEntry entry) {
  if ((nodes_.size() + 1) * 2 > slots_.size()) Grow();
  Slot& slot = slots_[Probe(entity, id, hash)];
  if (slot.node != 0) {
    nodes_[slot.node - 1].entry = std::move(entry);
    return;
  }
  nodes_.push_back({entity,
                    static_cast<uint32_t>(ids_.size()),
                    static_cast<uint16_t>(id.size()),
                    std::move(entry)});
  ids_.append(id);
  slot = {static_cast<uint32_t>(hash >> 32), static_cast<uint32_t>(nodes_.size())};
}

void Layer::Grow() {
  const size_t size = std::max(kSlotsMin, slots_.size() * 2);
  slots_.assign(size, Slot{});
  const size_t mask = size - 1;
  for (size_t i = 0; i < nodes_.size(); ++i) {
    const uint64_t hash = KeyHash(nodes_[i].entity, id(nodes_[i]));
    size_t at = hash & mask;
    while (slots_[at].node != 0) at = (at + 1) & mask;
    slots_[at] = {static_cast<uint32_t>(hash >> 32), static_cast<uint32_t>(i + 1)};
  }
}

const std::vector<uint32_t>& Layer::Sorted() const {
  std::call_once(sort_once_, [this] {
    sorted_.resize(nodes_.size());
    std::iota(sorted_.begin(), sorted_.end(), 0U);
    std::sort(sorted_.begin(), sorted_.end(), [this](uint32_t a, uint32_t b) {
      const Node& left = nodes_[a];
      const Node& right = nodes_[b];
      return left.entity != right.entity ? left.entity < right.entity : id(left) < id(right);
    });
  });
  return sorted_;
}

const IndexEntry* Window::Find(EntityNumber entity, std::string_view id, uint64_t hash) const {
  if (const IndexEntry* entry = active_->Find(entity, id, hash)) return entry;
  for (const auto& layer : frozen_) {
    if (const IndexEntry* entry = layer->Find(entity, id, hash)) return entry;
  }
  return nullptr;
}

LayerStack Window::Freeze() {
  if (active_->size() > 0) {
    frozen_.insert(frozen_.begin(), std::move(active_));
    active_ = std::make_shared<Layer>();
    // Layers that are not being folded merge in tiers, so that their number stays logarithmic.
    while (frozen_.size() - folding_ >= 2 && frozen_[0]->size() * 2 >= frozen_[1]->size()) {
      auto merged = Merge({frozen_[0], frozen_[1]});
      frozen_.erase(frozen_.begin());
      frozen_[0] = std::move(merged);
    }
  }
  return frozen_;
}

LayerStack Window::BeginFold() {
  if (active_->size() > 0) {
    frozen_.insert(frozen_.begin(), std::move(active_));
    active_ = std::make_shared<Layer>();
  }
  folding_ = frozen_.size();
  return frozen_;
}

void Window::EndFold() {
  frozen_.resize(frozen_.size() - folding_);
  folding_ = 0;
}

size_t Window::size() const {
  size_t size = active_->size();
  for (const auto& layer : frozen_) size += layer->size();
  return size;
}

}  // namespace tidemark::internal
