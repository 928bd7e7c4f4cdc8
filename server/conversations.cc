#include "server/conversations.h"

#include <algorithm>

#include "format/token.h"

namespace tidemark::server {

Conversations::Conversations(const Store& store) : store_(store) {}

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
  const auto number = NumberOf(session);
  if (!number) return;
  const MonotonicTime now = store_.runtime().clock().Now();
  const std::lock_guard lock(mutex_);
  newest_session_.insert_or_assign(*number,
                                   Session{.device = std::string(device), .last_use = now});
}

bool Conversations::MayRead(std::string_view session, std::string_view device) {
  const auto number = NumberOf(session);
  if (!number) return false;
  const MonotonicTime now = store_.runtime().clock().Now();
  const std::lock_guard lock(mutex_);
  const auto at = newest_session_.find(*number);
  if (at == newest_session_.end()) return true;
  at->second.last_use = now;
  return at->second.device == device;
}

void Conversations::EndSession(std::string_view session) {
  const auto number = NumberOf(session);
  const std::lock_guard lock(mutex_);
  const auto at = number ? newest_session_.find(*number) : newest_session_.end();
  if (at != newest_session_.end()) at->second.ended = true;
}

bool Conversations::ActiveSince(MonotonicTime time) const {
  const std::lock_guard lock(mutex_);
  return std::any_of(newest_session_.begin(), newest_session_.end(), [time](const auto& row) {
    return !row.second.ended && row.second.last_use >= time;
  });
}

std::optional<uint64_t> Conversations::NumberOf(std::string_view session) const {
  const auto token = OpenToken(store_.identity().secret, TokenKind::kSession, session);
  if (!token.ok()) return std::nullopt;
  return token->device;
}

}  // namespace tidemark::server
