#include "server/deliveries.h"

#include <algorithm>
#include <optional>
#include <utility>

#include "db/runtime.h"
#include "format/coding.h"

namespace tidemark::server {
namespace {

std::string Encode(const Delivery& delivery) {
  std::string row;
  AppendVarint(&row, static_cast<uint64_t>(delivery.made_at_ms));
  AppendBytes(&row, delivery.id);
  AppendBytes(&row, delivery.body);
  return row;
}

std::optional<Delivery> Decode(std::string_view row) {
  ByteReader reader(row);
  Delivery delivery;
  delivery.made_at_ms = static_cast<int64_t>(reader.Varint());
  delivery.id = reader.Bytes();
  delivery.body = reader.Bytes();
  if (!reader.Finished()) return std::nullopt;
  return delivery;
}

}  // namespace

Deliveries::Deliveries(Store& store, char channel, Send send, DeliveryOptions options)
    : store_(store), channel_(channel), send_(std::move(send)), options_(std::move(options)) {}

Result<std::unique_ptr<Deliveries>> Deliveries::Open(Store& store,
                                                     char channel,
                                                     Send send,
                                                     DeliveryOptions options) {
  std::unique_ptr<Deliveries> deliveries(
      new Deliveries(store, channel, std::move(send), std::move(options)));
  TIDEMARK_RETURN_IF_ERROR(deliveries->Recover());
  deliveries->thread_ = std::thread([self = deliveries.get()] { self->Run(); });
  return deliveries;
}

Deliveries::~Deliveries() {
  {
    const std::lock_guard lock(mutex_);
    stopping_ = true;
    changed_.notify_all();
  }
  if (thread_.joinable()) thread_.join();
}

std::string Deliveries::Prefix() const {
  return std::string("n/q") + channel_;
}

std::string Deliveries::KeyOf(uint64_t number) const {
  std::string key = Prefix();
  AppendBigEndian64(&key, number);
  return key;
}

Status Deliveries::Recover() {
  bool any = false;
  return store_.ScanRows(Prefix(), [&](std::string_view key, std::string_view) {
    if (key.size() != Prefix().size() + 8) return true;
    const uint64_t number = LoadBigEndian64(key.data() + Prefix().size());
    if (!any) first_ = number;
    any = true;
    next_ = number + 1;
    return true;
  });
}

Status Deliveries::Add(const Delivery& delivery, WriteBatch joined) {
  const std::lock_guard lock(mutex_);
  const bool full = next_ - first_ >= kDeliveriesMax;
  joined.SetRow(KeyOf(next_), Encode(delivery));
  if (full) joined.DeleteRow(KeyOf(first_));
  TIDEMARK_RETURN_IF_ERROR(store_.Commit(joined).status());
  ++next_;
  if (full) ++first_;
  changed_.notify_all();
  return {};
}

size_t Deliveries::waiting() const {
  const std::lock_guard lock(mutex_);
  return next_ - first_;
}

void Deliveries::Log(const std::string& line) const {
  if (options_.log) options_.log(line);
}

bool Deliveries::Attempt(const std::string& key) {
  const auto row = store_.GetRow(key);
  if (!row.ok()) return false;
  const std::optional<Delivery> delivery = *row ? Decode(**row) : std::nullopt;
  if (!delivery) return true;
  const Status sent = send_(*delivery);
  if (sent.ok()) return true;
  const int64_t age = store_.runtime().clock().WallMilliseconds() - delivery->made_at_ms;
  const bool too_old = age > options_.age_max.count();
  Log("delivery " + delivery->id + (too_old ? " is given up: " : " will be tried again: ") +
      sent.ToString());
  return too_old;
}

void Deliveries::Run() {
  std::chrono::milliseconds pause = options_.first_pause;
  std::unique_lock lock(mutex_);
  while (!stopping_) {
    if (first_ == next_) {
      changed_.wait(lock, [&] { return stopping_ || first_ != next_; });
      continue;
    }
    const uint64_t number = first_;
    lock.unlock();
    bool over = Attempt(KeyOf(number));
    if (over) {
      WriteBatch batch;
      batch.DeleteRow(KeyOf(number));
      CommitOptions options;
      options.sync = false;  // after a crash it is sent again, under the same id
      over = store_.Commit(batch, options).ok();
    }
    lock.lock();
    if (over) {
      first_ = std::max(first_, number + 1);  // it may have been dropped meanwhile
      pause = options_.first_pause;
    } else {
      changed_.wait_for(lock, pause, [&] { return stopping_; });
      pause = std::min(pause * 2, options_.longest_pause);
    }
  }
}

}  // namespace tidemark::server
