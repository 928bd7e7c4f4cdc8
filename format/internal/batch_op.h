// How one byte of the op column holds what a row says, how its id was written and what its value
// is; how one byte says of which kind an entity is.
#pragma once

#include <cstdint>
#include <optional>

#include "format/batch.h"

namespace tidemark::internal {

inline constexpr int kIdFormShift = 3;
inline constexpr int kValueKindShift = 4;
inline constexpr uint8_t kOpMask = 7;
inline constexpr uint8_t kIdFormMask = 1;
inline constexpr uint8_t kValueKindMask = 3;

constexpr uint8_t PackOp(RowOp op, IdForm form, ValueKind kind) {
  return static_cast<uint8_t>(static_cast<uint32_t>(op) |
                              static_cast<uint32_t>(form) << kIdFormShift |
                              static_cast<uint32_t>(kind) << kValueKindShift);
}
/// The same but for the op.
constexpr uint8_t WithOp(uint8_t packed, RowOp op) {
  return static_cast<uint8_t>((packed & ~uint32_t{kOpMask}) | static_cast<uint32_t>(op));
}
constexpr RowOp UnpackOp(uint8_t packed) {
  return static_cast<RowOp>(packed & kOpMask);
}
constexpr IdForm UnpackIdForm(uint8_t packed) {
  return static_cast<IdForm>(packed >> kIdFormShift & kIdFormMask);
}
constexpr ValueKind UnpackValueKind(uint8_t packed) {
  return static_cast<ValueKind>(packed >> kValueKindShift & kValueKindMask);
}

/// Zero does not say.
constexpr uint8_t PackEntityKind(std::optional<EntityKind> kind) {
  return kind.has_value() ? static_cast<uint8_t>(static_cast<uint32_t>(*kind) + 1) : uint8_t{0};
}
constexpr std::optional<EntityKind> UnpackEntityKind(uint8_t packed) {
  return packed == 0 ? std::nullopt : std::optional(static_cast<EntityKind>(packed - 1));
}

/// True when the byte says something that a batch of this kind may say. Any byte is fine.
constexpr bool IsOpOfKind(uint8_t packed, BatchKind kind) {
  constexpr uint32_t kPageOps = 1U << static_cast<uint32_t>(RowOp::kDelete) |
                                1U << static_cast<uint32_t>(RowOp::kCreated) |
                                1U << static_cast<uint32_t>(RowOp::kUpdated);
  constexpr uint32_t kOtherOps = 1U << static_cast<uint32_t>(RowOp::kPut) |
                                 1U << static_cast<uint32_t>(RowOp::kDelete) |
                                 1U << static_cast<uint32_t>(RowOp::kAppend);
  const uint32_t ops = kind == BatchKind::kPage ? kPageOps : kOtherOps;
  const bool known_value_kind = packed >> kValueKindShift <= 2;  // the two bits above are zero
  return known_value_kind && (ops >> (packed & kOpMask) & 1) != 0;
}

}  // namespace tidemark::internal
