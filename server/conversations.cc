#include "server/conversations.h"

#include "format/token.h"

namespace tidemark::server {

Conversations::Conversations(const Store& store)
    : store_(store), last_use_(store.runtime().clock().Now().time_since_epoch().count()) {}

uint64_t Conversations::BeginStart(std::string_view device) {
  const std::lock_guard starting(StartMutex(device));
  const std::lock_guard lock(mutex_);
  newest_start_[std::string(device)] = ++starts_;
  return starts_;
}

std::mutex& Conversations::StartMutex(std::string_view device) {
  return start_mutexes_[std::hash<std::string_view>()(device) % kStartMutexes];
}

void Conversations::IfNewestStart(std::string_view device,
                                  uint64_t start,
                                  const std::function<void()>& work) {
  const std::lock_guard starting(StartMutex(device));
  {
    const std::lock_guard lock(mutex_);
    const auto at = newest_start_.find(std::string(device));
    if (at == newest_start_.end() || at->second != start) return;
  }
  work();
}

void Conversations::EndStart(std::string_view device, uint64_t start) {
  const std::lock_guard lock(mutex_);
  const auto at = newest_start_.find(std::string(device));
  if (at != newest_start_.end() && at->second == start) newest_start_.erase(at);
}

void Conversations::NoteSession(std::string_view session, std::string_view device) {
  last_use_ = store_.runtime().clock().Now().time_since_epoch().count();
  const auto number = NumberOf(session);
  if (!number) return;
  const std::lock_guard lock(mutex_);
  device_of_number_.insert_or_assign(*number, std::string(device));
}

bool Conversations::MayRead(std::string_view session, std::string_view device) const {
  last_use_ = store_.runtime().clock().Now().time_since_epoch().count();
  const auto number = NumberOf(session);
  if (!number) return false;
  const std::lock_guard lock(mutex_);
  const auto at = device_of_number_.find(*number);
  return at == device_of_number_.end() || at->second == device;
}

bool Conversations::ActiveSince(MonotonicTime time) const {
  return last_use_ >= time.time_since_epoch().count();
}

std::optional<uint64_t> Conversations::NumberOf(std::string_view session) const {
  const auto token = OpenToken(store_.identity().secret, TokenKind::kSession, session);
  if (!token.ok()) return std::nullopt;
  return token->device;
}

}  // namespace tidemark::server
