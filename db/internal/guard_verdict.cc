#include "db/internal/guard_verdict.h"

#include <algorithm>
#include <array>

namespace tidemark::internal {
namespace {

bool Equal(const std::array<uint8_t, 16>& bytes, std::string_view text) {
  return std::equal(bytes.begin(), bytes.end(), text.begin(), text.end(), [](uint8_t a, char b) {
    return a == static_cast<uint8_t>(b);
  });
}

}  // namespace

bool IsOf(const GuardState& guard, const StoreIdentity& identity) {
  return Equal(guard.store, identity.id);
}

GuardVerdict JudgeGuard(const std::optional<GuardState>& guard,
                        const StoreIdentity& identity,
                        uint64_t commit) {
  if (!guard.has_value()) return {Past::kUnknown, "the guard file is missing or damaged"};
  if (!IsOf(*guard, identity)) return {Past::kUnknown, "the guard file is another store's"};
  // An epoch is durable in the database before any guard names it.
  const bool knows_epoch =
      std::any_of(identity.epochs.begin(), identity.epochs.end(), [&](const Epoch& epoch) {
        return Equal(guard->epoch, epoch.id);
      });
  if (!knows_epoch || commit < guard->durable.value()) return {Past::kLost, {}};
  if (guard->moved) return {Past::kUnknown, "the store's directory was copied"};
  const bool is_current = Equal(guard->epoch, identity.epochs.back().id);
  const bool went_on = guard->clean && commit > guard->durable.value();
  if (!is_current || went_on) return {Past::kUnknown, "the guard file is older than the store"};
  return {Past::kWhole, {}};
}

}  // namespace tidemark::internal
