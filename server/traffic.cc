#include "server/traffic.h"

#include <algorithm>

namespace tidemark::server {

void Traffic::CountAnswer(std::string_view route, int status, std::string_view error_code) {
  if (whole_ != nullptr) whole_->CountAnswer(route, status, error_code);
  const auto status_class = static_cast<size_t>(std::clamp(status / 100, 0, 5));
  const std::lock_guard lock(mutex_);
  auto at = answers_.find(route);
  if (at == answers_.end()) at = answers_.emplace(std::string(route), StatusClasses{}).first;
  ++at->second[status_class];
  if (error_code.empty()) return;
  auto error = errors_.find(error_code);
  if (error == errors_.end()) error = errors_.emplace(std::string(error_code), 0).first;
  ++error->second;
}

void Traffic::CountSession() {
  if (whole_ != nullptr) whole_->CountSession();
  ++sessions_;
}

void Traffic::CountPage(uint64_t records, uint64_t bytes) {
  if (whole_ != nullptr) whole_->CountPage(records, bytes);
  ++pages_;
  page_records_ += records;
  page_bytes_ += bytes;
}

void Traffic::CountAck(const AckResult& result) {
  if (whole_ != nullptr) whole_->CountAck(result);
  acks_applied_ += result.applied;
  acks_repeated_ += result.repeated;
  acks_ignored_ += result.ignored;
}

void Traffic::WriteTo(Exposition& out) const {
  out.One("sessions_total", "counter", "Sessions started.", sessions_);
  out.One("pages_total", "counter", "Pages handed out.", pages_);
  out.One("page_records_total", "counter", "Instructions handed out.", page_records_);
  out.One("page_bytes_total", "counter", "Bytes of these pages, as batches.", page_bytes_);
  out.Begin("acks_total", "counter", "Instructions acknowledged, and keys that said nothing new.");
  out.Sample("acks_total", R"({outcome="applied"})", acks_applied_);
  out.Sample("acks_total", R"({outcome="repeated"})", acks_repeated_);
  out.Sample("acks_total", R"({outcome="ignored"})", acks_ignored_);

  const std::lock_guard lock(mutex_);
  out.Begin("requests_total", "counter", "Answers by route and class of status.");
  for (const auto& [route, classes] : answers_) {
    for (size_t i = 1; i < classes.size(); ++i) {
      if (classes[i] == 0) continue;
      out.Sample("requests_total",
                 "{route=\"" + route + "\",status=\"" + std::to_string(i) + "xx\"}",
                 classes[i]);
    }
  }
  out.Begin("errors_total", "counter", "Errors by code.");
  for (const auto& [code, count] : errors_) {
    out.Sample("errors_total", "{code=\"" + code + "\"}", count);
  }
}

}  // namespace tidemark::server
