#include "tests/model/engine_judge.h"

#include <algorithm>

#include <gtest/gtest.h>

#include "tests/support/status_matchers.h"

namespace tidemark::model {

std::map<RecordKey, std::string> Select(const RecordMap& records,
                                        const CommonSelection& selection) {
  std::map<RecordKey, std::string> selected;
  for (const auto& [key, state] : records) {
    if (selection.Contains(key, state.value)) selected[key] = state.value;
  }
  return selected;
}

std::set<RecordKey> DeviceJudge::AllOwed(const RecordMap& view,
                                         const CommonSelection& selection) const {
  std::set<RecordKey> owed;
  const auto consider = [&](const RecordKey& key) {
    const auto found = view.find(key);
    const RecordState* state = found == view.end() ? nullptr : &found->second;
    if (oracle_.Owed(key, state, selection).has_value()) owed.insert(key);
  };
  for (const auto& [key, state] : view) consider(key);
  for (const RecordKey& key : oracle_.Keys()) consider(key);
  return owed;
}

std::optional<RowOp> DeviceJudge::OwedAtCut(const RecordKey& key) const {
  const auto found = current_.view.find(key);
  return oracle_.Owed(
      key, found == current_.view.end() ? nullptr : &found->second, current_.selection);
}

void DeviceJudge::Started(const Result<std::optional<SessionInfo>>& answer,
                          SequenceNumber cut,
                          bool fresh,
                          const PlainSelection& limit,
                          const std::vector<PlainQueue>& queues) {
  ASSERT_OK(answer);
  // Who holds nothing has nothing to drop, and may be told to do so.
  const bool told_reset = answer->has_value() && (*answer)->reset;
  if (fresh && (oracle_.HoldsAny() || told_reset)) reset_pending_ = true;
  const bool reset = reset_pending_;
  if (reset) oracle_.Reset(sessions_ + 1);
  current_ = Session();
  current_.cut = cut;
  current_.view = records_.live;
  limit_ = limit;
  current_.selection = selection();
  current_.queues = queues;
  current_.owed = AllOwed(current_.view, selection());
  if (!answer->has_value()) {
    EXPECT_EQ(current_.owed.size(), 0U) << id_ << " is owed something and was told nothing";
    EXPECT_FALSE(reset) << id_ << " was to be reset";
    current_.drained = true;
    return;
  }
  const SessionInfo& info = **answer;
  EXPECT_EQ(info.cut, cut);
  EXPECT_EQ(info.owed, current_.owed.size()) << id_ << " session " << info.number;
  EXPECT_EQ(info.pages, (info.owed + kPageRecordsDefault - 1) / kPageRecordsDefault);
  EXPECT_EQ(info.reset, reset) << id_;
  EXPECT_TRUE(reset || info.owed > 0);
  CheckQueues(info);
  current_.id = info.id;
  current_.number = info.number;
  current_.open = true;
  sessions_ = std::max(sessions_, info.number);
}

std::string DeviceJudge::QueueOf(const RecordKey& key) const {
  const auto found = current_.view.find(key);
  const std::string* value = found == current_.view.end() ? nullptr : &found->second.value;
  if (value != nullptr && !current_.selection.Contains(key, *value)) value = nullptr;
  for (const PlainQueue& queue : current_.queues) {
    if (queue.Contains(key, value)) return queue.name;
  }
  return std::string(kMainQueue);
}

void DeviceJudge::CheckQueues(const SessionInfo& info) {
  for (const RecordKey& key : current_.owed) {
    const std::string queue = QueueOf(key);
    ++current_.left[queue];
    if (queue != kMainQueue) ++current_.left[std::string(kMainQueue)];
  }
  ASSERT_EQ(info.queues.size(), current_.queues.size()) << id_;
  for (size_t i = 0; i < info.queues.size(); ++i) {
    const QueueInfo& queue = info.queues[i];
    EXPECT_EQ(queue.name, current_.queues[i].name) << id_;
    EXPECT_EQ(queue.owed, current_.left[queue.name]) << id_ << " queue " << queue.name;
    EXPECT_EQ(queue.pages, (queue.owed + kPageRecordsDefault - 1) / kPageRecordsDefault);
  }
}

void DeviceJudge::NoteLeft(const std::string& queue, uint64_t taken) {
  uint64_t& left = current_.left[queue];
  left -= std::min(left, taken);
}

void DeviceJudge::QueueEnded(const std::string& queue) {
  if (queue != kMainQueue) NoteLeft(std::string(kMainQueue), current_.left[queue]);
  current_.left[queue] = 0;
  if (queue == kMainQueue || current_.selection_changed) return;
  for (const RecordKey& key : current_.owed) {
    if (current_.handed.contains(key) || current_.written.contains(key)) continue;
    if (QueueOf(key) != queue) continue;
    EXPECT_FALSE(OwedAtCut(key).has_value())
        << id_ << " queue " << queue << " left out " << key.first << "/" << key.second;
  }
}

void DeviceJudge::Read(const std::string& session,
                       const PageOptions& options,
                       const PlainSelection& limit,
                       const Result<std::optional<Page>>& answer,
                       const Source& source) {
  if (session != current_.id || !current_.open) {
    if (answer.ok()) {
      EXPECT_FALSE(answer->has_value()) << "a session that is over handed out a page";
    } else {
      const bool no_such_queue = options.queue != kMainQueue && session != current_.id &&
                                 answer.status().code() == ErrorCode::kNotFound;
      EXPECT_TRUE(answer.status().code() == ErrorCode::kSuperseded ||
                  answer.status().code() == ErrorCode::kSessionExpired || no_such_queue)
          << answer.status().ToString();
      if (session == current_.id) {
        EXPECT_EQ(answer.status().code(), ErrorCode::kSessionExpired);
      }
    }
    return;
  }
  const auto& queues = current_.queues;
  const bool known = options.queue == kMainQueue ||
                     std::any_of(queues.begin(), queues.end(), [&](const PlainQueue& queue) {
                       return queue.name == options.queue;
                     });
  if (!known) {
    EXPECT_THAT(answer, test::StatusIs(ErrorCode::kNotFound));
    return;
  }
  ASSERT_OK(answer);
  in_force_ = {{granted_, limit_, limit}};
  if (!(limit == limit_)) current_.selection_changed = true;
  uint64_t& all_left = current_.left[std::string(kMainQueue)];
  if (!answer->has_value()) {
    QueueEnded(options.queue);
    if (options.queue == kMainQueue || all_left == 0) Drained();
    return;
  }
  const Page& page = **answer;
  const auto rows = BatchView::Parse(page.bytes, BatchKind::kPage);
  ASSERT_OK(rows);
  const BatchHeader header = rows->header();
  EXPECT_EQ(header.device, id_);
  EXPECT_EQ(header.session, current_.number);
  EXPECT_EQ(header.page, current_.last_page + 1);
  EXPECT_EQ(header.cut, current_.cut);
  EXPECT_EQ(header.reset, reset_pending_);
  EXPECT_EQ(header.token, page.token);
  EXPECT_EQ(page.records, rows->size());
  EXPECT_GT(rows->size(), 0U);
  current_.last_page = header.page;
  const size_t before = current_.handed.size();
  for (size_t i = 0; i < rows->size(); ++i) {
    const BatchRow row = rows->row(i);
    const std::string_view entity = rows->entity_name(row.entity);
    ReadRow(row, entity, header.page, options.queue);
    const ToldRow told{{std::string(entity), std::string(row.id)},
                       current_.number,
                       header.page,
                       row.op,
                       row.birth,
                       row.sequence};
    const std::string key = source.AckKey(session, header.page, entity, row);
    told_[page.token].push_back(told);
    told_[key].push_back(told);
    ack_keys_[page.token].push_back(key);
  }
  // All of a page is examined before any of it counts as handed out.
  for (const ToldRow& told : told_[page.token]) oracle_.HandOut(told);
  EXPECT_EQ(current_.handed.size(), before + rows->size()) << "an id was handed out twice";
  if (page.records < options.records_max || page.left == 0) QueueEnded(options.queue);
  EXPECT_EQ(page.left, current_.left[options.queue]) << id_ << " queue " << options.queue;
  if (all_left == 0) Drained();
}

void DeviceJudge::ReadRow(const BatchRow& row,
                          std::string_view entity,
                          uint64_t page,
                          std::string_view queue) {
  const RecordKey key{std::string(entity), std::string(row.id)};
  const std::string what = id_ + " session " + std::to_string(current_.number) + " page " +
                           std::to_string(page) + " " + key.first + "/" + key.second;
  SequenceNumber& last_place = current_.last_place[std::string(queue)];
  EXPECT_GT(row.sequence, last_place) << what << ": not in the order of heads";
  last_place = row.sequence;
  const std::string own = QueueOf(key);
  EXPECT_TRUE(queue == kMainQueue || queue == own) << what << ": of queue " << own;
  NoteLeft(own, 1);
  if (own != kMainQueue) NoteLeft(std::string(kMainQueue), 1);
  const auto found = current_.view.find(key);
  const bool live = found != current_.view.end();
  EXPECT_FALSE(current_.written.contains(key)) << what << ": told what it wrote itself";
  const std::optional<RowOp> owed = OwedAtCut(key);
  ASSERT_TRUE(owed.has_value()) << what << ": nothing was owed, told op "
                                << static_cast<int>(row.op);
  EXPECT_EQ(static_cast<int>(row.op), static_cast<int>(*owed)) << what << ": wrong label";
  if (row.op == RowOp::kDelete) {
    EXPECT_FALSE(live && in_force_.Contains(key, found->second.value))
        << what << ": selected and told deleted";
    EXPECT_TRUE(row.value.empty());
    EXPECT_EQ(row.birth, oracle_.HeldLives(key).back()) << what;
  } else {
    ASSERT_TRUE(live) << what;
    EXPECT_TRUE(in_force_.Contains(key, found->second.value))
        << what << ": outside the selection in force";
    EXPECT_EQ(row.birth, found->second.birth) << what;
    EXPECT_EQ(row.sequence, found->second.head) << what;
    EXPECT_EQ(row.value, found->second.value) << what;
  }
  EXPECT_TRUE(current_.handed.insert(key).second) << what << ": twice in one session";
  current_.unacknowledged.emplace(key, row.sequence);
}

void DeviceJudge::Drained() {
  current_.drained = true;
  if (current_.selection_changed) return;
  for (const RecordKey& key : current_.owed) {
    if (current_.handed.contains(key) || current_.written.contains(key)) continue;
    EXPECT_FALSE(OwedAtCut(key).has_value())
        << id_ << " session " << current_.number << " left out " << key.first << "/" << key.second;
  }
  if (!current_.disturbed) {
    EXPECT_EQ(current_.handed.size(), current_.owed.size());
  }
}

void DeviceJudge::Acknowledged(const std::vector<std::string>& keys, const AckResult& result) {
  uint64_t unknown = 0;
  uint64_t rows = 0;
  for (const std::string& key : keys) {
    const auto found = told_.find(key);
    if (found == told_.end()) {
      ++unknown;
      continue;
    }
    for (const ToldRow& told : found->second) {
      ++rows;
      oracle_.Acknowledge(told);
      if (told.session == current_.number) {
        current_.unacknowledged.erase({told.key, told.place});
      } else {
        current_.disturbed = true;
      }
    }
  }
  EXPECT_GE(result.ignored, unknown) << "a foreign key counted";
  EXPECT_LE(result.applied, rows);
  EXPECT_EQ(result.reasons.size(), std::min<uint64_t>(result.ignored, 100));
}

void DeviceJudge::Selected(PlainSelection selection) {
  if (selection == granted_) return;
  granted_ = std::move(selection);
  current_.selection_changed = true;
}

void DeviceJudge::WasReset() {
  reset_pending_ = true;
  oracle_.Reset(sessions_ + 1);
  current_.open = false;
  current_.drained = false;
}

void DeviceJudge::Wrote(const RecordKey& key,
                        SequenceNumber birth,
                        SequenceNumber head,
                        bool live) {
  oracle_.Write(key, birth, head, live, sessions_);
  current_.written.insert(key);
  current_.disturbed = true;
}

uint64_t DeviceJudge::OwedNow() const {
  if (!reset_pending_) return AllOwed(records_.live, selection()).size();
  return Select(records_.live, selection()).size();
}

bool DeviceJudge::Needs(const RecordKey& key, const EndedStay& life) const {
  if (oracle_.Holds(key, life.birth)) return true;
  if (!session_open() || current_.cut < life.birth || life.until <= current_.cut) return false;
  if (current_.written.contains(key)) return false;
  const auto found = current_.view.find(key);
  return found != current_.view.end() && current_.selection.Contains(key, found->second.value);
}

bool DeviceJudge::MustHaveSettled() const {
  return current_.drained && !current_.selection_changed && current_.unacknowledged.empty();
}

std::map<RecordKey, std::string> DeviceJudge::AtCut() const {
  return Select(current_.view, current_.selection);
}
std::map<RecordKey, std::string> DeviceJudge::Now() const {
  return Select(records_.live, selection());
}

std::vector<std::string> DeviceJudge::AckKeysOfPage(const std::string& token) const {
  return ack_keys_.at(token);
}

}  // namespace tidemark::model
