#include "server/outcomes.h"

#include <algorithm>
#include <mutex>
#include <set>
#include <utility>
#include <vector>

namespace tidemark::server {
namespace {

constexpr size_t kHistoryMax = 1000;  // syncs that a store remembers
constexpr size_t kToldSlack = 100;    // marks of forgotten syncs that may pile up

bool IsOutcome(UploadState state) {
  return state != UploadState::kStarted && state != UploadState::kProcessing;
}

}  // namespace

class Outcomes::Impl {
 public:
  Impl(Store& store, OutcomeChannel channel, DeliveryOptions options)
      : store_(store), channel_(std::move(channel)), options_(std::move(options)) {}

  Status Open(const Uploads& uploads) {
    TIDEMARK_ASSIGN_OR_RETURN(deliveries_,
                              Deliveries::Open(store_, channel_.name, channel_.send, options_));
    return CatchUp(uploads);
  }

  /// An outcome, once: a state that was told is not told again.
  void Tell(const UploadInfo& info) {
    if (!IsOutcome(info.state)) return;
    const std::lock_guard lock(mutex_);
    if (closed_ || Told(info)) return;
    const Status kept = Keep(info);
    if (!kept.ok() && options_.log) {
      options_.log("outcome of upload sync " + info.id +
                   " could not be kept for delivery: " + kept.ToString());
    }
  }

  void Close() {
    {
      const std::lock_guard lock(mutex_);
      closed_ = true;
    }
    deliveries_.reset();
  }

  size_t waiting() const { return deliveries_->waiting(); }

 private:
  bool Told(const UploadInfo& info) const {
    const auto row = store_.GetRow(ToldKey(info.id));
    return row.ok() && *row && **row == UploadStateName(info.state);
  }

  std::string BegunKey() const { return std::string("n/b") + channel_.name; }
  std::string ToldKey(const std::string& sync) const {
    return std::string("n/t") + channel_.name + sync;
  }

  // The mark that it was told is in one commit with the delivery.
  Status Keep(const UploadInfo& info) {
    Delivery delivery;
    delivery.id = info.id + "-" + std::string(UploadStateName(info.state));
    delivery.body = channel_.compose(info);
    delivery.made_at_ms = store_.runtime().clock().WallMilliseconds();
    WriteBatch told;
    told.SetRow(ToldKey(info.id), UploadStateName(info.state));
    return deliveries_->Add(delivery, std::move(told));
  }

  // What ended while nobody was there to tell it, oldest first.
  Status CatchUp(const Uploads& uploads) {
    const std::vector<UploadInfo> newest = uploads.List(kHistoryMax);
    TIDEMARK_ASSIGN_OR_RETURN(const auto begun, store_.GetRow(BegunKey()));
    WriteBatch marks;
    marks.SetRow(BegunKey(), "1");
    if (!begun) {
      for (const UploadInfo& info : newest) {
        if (IsOutcome(info.state)) marks.SetRow(ToldKey(info.id), UploadStateName(info.state));
      }
    }
    TIDEMARK_RETURN_IF_ERROR(ForgetOld(newest, &marks));
    TIDEMARK_RETURN_IF_ERROR(store_.Commit(marks).status());
    std::for_each(newest.rbegin(), newest.rend(), [this](const UploadInfo& info) { Tell(info); });
    return {};
  }

  // Marks of syncs that the store has forgotten.
  Status ForgetOld(const std::vector<UploadInfo>& known, WriteBatch* marks) const {
    std::set<std::string> keys;
    for (const UploadInfo& info : known) keys.insert(ToldKey(info.id));
    std::vector<std::string> old;
    TIDEMARK_RETURN_IF_ERROR(
        store_.ScanRows(ToldKey(""), [&](std::string_view key, std::string_view) {
          if (!keys.contains(std::string(key))) old.emplace_back(key);
          return true;
        }));
    if (old.size() < kToldSlack) return {};
    for (const std::string& key : old) marks->DeleteRow(key);
    return {};
  }

  Store& store_;
  const OutcomeChannel channel_;
  const DeliveryOptions options_;
  std::unique_ptr<Deliveries> deliveries_;
  std::mutex mutex_;
  bool closed_ = false;
};

Outcomes::Outcomes(std::shared_ptr<Impl> impl) : impl_(std::move(impl)) {}

Outcomes::~Outcomes() {
  impl_->Close();
}

size_t Outcomes::waiting() const {
  return impl_->waiting();
}

Result<std::unique_ptr<Outcomes>> Outcomes::Open(Store& store,
                                                 Uploads& uploads,
                                                 OutcomeChannel channel,
                                                 const DeliveryOptions& options) {
  auto impl = std::make_shared<Impl>(store, std::move(channel), options);
  std::unique_ptr<Outcomes> outcomes(new Outcomes(impl));
  TIDEMARK_RETURN_IF_ERROR(impl->Open(uploads));
  // A listener cannot be taken back; what it holds may outlive this object.
  uploads.AddListener([weak = std::weak_ptr<Impl>(impl)](const UploadInfo& info) {
    if (const auto self = weak.lock()) self->Tell(info);
  });
  return outcomes;
}

}  // namespace tidemark::server
