// Writes of devices at their limits: sizes, numbers, hostile batches, and everything at the same
// time.
#include <algorithm>
#include <atomic>
#include <functional>
#include <string>
#include <thread>
#include <vector>

#include "tests/replication/push_fixture.h"

namespace tidemark {
namespace {

using test::LossyTransport;
using test::PushTest;
using test::StatusIs;
using ::testing::IsEmpty;
using ::testing::SizeIs;

TEST_F(PushTest, AValueAtTheLimitGoesThrough) {
  const std::string largest(kValueBytesMax, 'x');
  ASSERT_OK(tablet_.replica->Write(WriteBatch().Put("visits", "1", largest)));
  EXPECT_THAT(tablet_.replica->Write(WriteBatch().Put("visits", "2", largest + "x")),
              StatusIs(ErrorCode::kTooLarge));
  Open(&tablet_);
  EXPECT_EQ(Push().count(PushOutcome::kApplied), 1U);
  EXPECT_EQ(Live().at("visits/1").size(), kValueBytesMax);
}

TEST_F(PushTest, MoreOperationsThanOnePushHolds) {
  WriteBatch batch;
  constexpr size_t kCount = kPushOperationsMax + 1;
  for (size_t i = 0; i < kCount; ++i) batch.Put("visits", RecordId(static_cast<int64_t>(i)), "v");
  ASSERT_OK(tablet_.replica->Write(batch));
  const PushTotals totals = Push();
  EXPECT_EQ(totals.count(PushOutcome::kApplied), kCount);
  EXPECT_EQ(totals.pushes, 2U);
  EXPECT_EQ(Held(), Live());
  EXPECT_TRUE(Pull().nothing_owed);
}

TEST_F(PushTest, ADeepValueSurvivesTheOutboxByteForByte) {
  std::string deep = R"({"text":"\u00e9\n,\"payload\":1","payloadBytes":3,"payload":)";
  for (int i = 0; i < kJsonDepthMax - 1; ++i) deep += "[";
  for (int i = 0; i < kJsonDepthMax - 1; ++i) deep += "]";
  deep += "}";
  ASSERT_OK(tablet_.replica->Write(WriteBatch().Put("visits", "1", deep, ValueKind::kJson)));
  Open(&tablet_);
  EXPECT_EQ(Push().count(PushOutcome::kApplied), 1U);
  EXPECT_EQ(Live()["visits/1"], deep);
}

TEST_F(PushTest, AnOperationDoesNotWaitForEver) {
  EntityDeclaration member;
  member.references = {{.field = "household", .entity = "household"}};
  member.reference_policy = ReferencePolicy::kStrict;
  ASSERT_OK(store_->Declare("member", member));
  ASSERT_OK(tablet_.replica->Write(
      WriteBatch().Put("member", "m", R"({"household":"none"})", ValueKind::kJson)));
  for (uint64_t i = 1; i < kOperationWaitsMax; ++i) {
    EXPECT_EQ(Push().count(PushOutcome::kParentMissing), 1U);
    EXPECT_EQ(tablet_.replica->outbox().pending, 1U) << i;
  }
  Push();
  EXPECT_EQ(tablet_.replica->outbox().pending, 0U);
  EXPECT_EQ(tablet_.replica->outbox().failed, 1U);
  EXPECT_THAT(Held(), IsEmpty());
  ASSERT_OK(store_->Commit(WriteBatch().Put("household", "none", "{}", ValueKind::kJson)));
  ASSERT_OK(tablet_.replica->RetryOperation(FirstOperation()));
  EXPECT_EQ(Push().count(PushOutcome::kApplied), 1U);
}

TEST_F(PushTest, LocalErrorsLeaveEverythingAsItWas) {
  WriteHere("1", "a");
  const auto held = Held();
  const auto refused = [&](const WriteBatch& batch, ErrorCode code) {
    EXPECT_THAT(tablet_.replica->Write(batch), StatusIs(code));
    EXPECT_EQ(Held(), held);
    EXPECT_THAT(Outbox(), SizeIs(1));
  };
  refused(WriteBatch().Put("visits", "2", "b").Append("visits", RecordId("e"), "x"),
          ErrorCode::kWrongKind);
  refused(WriteBatch().Put("_commandQueue", "2", "b"), ErrorCode::kReserved);
  refused(WriteBatch().Put("visits", "1", "b", ValueKind::kBytes, {.if_absent = true}),
          ErrorCode::kConditionFailed);
  refused(
      WriteBatch().Put("visits", "1", "b", ValueKind::kBytes, {.if_version = SequenceNumber(1)}),
      ErrorCode::kInvalidArgument);
  refused(WriteBatch().Put("visits", "2", "{", ValueKind::kJson), ErrorCode::kMalformedJson);
  EXPECT_THAT(tablet_.replica->RetryOperation(77), StatusIs(ErrorCode::kNotFound));
}

TEST_F(PushTest, HostilePushesAreRefusedAsAWhole) {
  LossyTransport transport(*source_);
  WriteHere("1", "a");
  transport.lose_request = true;
  EXPECT_THAT(tablet_.replica->Push(transport), StatusIs(ErrorCode::kUnavailable));
  const std::string batch = transport.pushed.front();
  for (size_t i = 0; i < batch.size(); ++i) {
    std::string flipped = batch;
    flipped[i] = static_cast<char>(flipped[i] ^ 1);
    EXPECT_FALSE(source_->Push(flipped).ok()) << "byte " << i;
  }
  EXPECT_THAT(source_->Push(batch.substr(0, batch.size() / 2)),
              StatusIs(ErrorCode::kMalformedBatch));
  EXPECT_THAT(Live(), IsEmpty());
  EXPECT_THAT(source_->FindPush("none"), StatusIs(ErrorCode::kNotFound));
}

/// A push of these operations, as a device would send it.
struct Operation {
  uint64_t number = 0;
  std::string id;
  std::string value = "v";
  uint64_t base = 0;
};

std::string MakePush(const std::vector<Operation>& operations) {
  BatchBuilder builder;
  for (const Operation& operation : operations) {
    builder.Add({.entity = builder.Entity("visits"),
                 .op = RowOp::kPut,
                 .sequence = SequenceNumber(operation.number),
                 .birth = {},
                 .superseded = SequenceNumber(operation.base),
                 .id = operation.id,
                 .value = operation.value,
                 .writer_time = {},
                 .ended = {},
                 .origin_birth = {},
                 .origin_head = {}});
  }
  return builder.Finish(
      {.kind = BatchKind::kPush, .device = "tablet", .origin = std::string(32, 'a')});
}

/// Operations `first` to `last`, each of a record of its own.
std::vector<Operation> Operations(uint64_t first, uint64_t last) {
  std::vector<Operation> operations;
  for (uint64_t number = first; number <= last; ++number) {
    operations.push_back({.number = number, .id = "r" + std::to_string(number)});
  }
  return operations;
}

TEST_F(PushTest, CurrentValuesHaveABoundTogether) {
  const std::string half(kPushValueBytesMax / 2, 'x');
  for (const char* id : {"1", "2", "3"}) Put("visits", id, half);
  const auto answer = source_->Push(MakePush({{.number = 1, .id = "1", .value = "mine"},
                                              {.number = 2, .id = "2", .value = "mine"},
                                              {.number = 3, .id = "3", .value = "mine"}}));
  ASSERT_OK(answer);
  ASSERT_THAT(answer->answers, SizeIs(3));
  EXPECT_EQ(answer->answers[1].current->value, half);
  EXPECT_FALSE(answer->answers[2].current->value.has_value());
  EXPECT_GT(answer->answers[2].current->version, kSequenceZero);
}

TEST_F(PushTest, AnswersThatAreNeverTakenHaveABound) {
  uint64_t last = kPushOperationsMax;
  ASSERT_OK(source_->Push(MakePush(Operations(1, last))));
  const auto push_beside_the_first = [&](uint64_t count) {
    std::vector<Operation> operations = Operations(last + 1, last + count);
    operations.insert(operations.begin(), {.number = 1, .id = "r1"});
    return source_->Push(MakePush(operations));
  };
  while (last < kPushAnswersKept) {
    const uint64_t count = std::min(kPushAnswersKept - last, kPushOperationsMax - 1);
    ASSERT_OK(push_beside_the_first(count));
    last += count;
  }
  EXPECT_THAT(push_beside_the_first(1), StatusIs(ErrorCode::kTooLarge));
  EXPECT_OK(source_->Push(MakePush(Operations(last, last + 1)))) << "the others were taken";
}

TEST_F(PushTest, TheLastHundredPushesAreKept) {
  std::vector<std::string> pushes;
  for (uint64_t i = 1; i <= kPushesKept + 1; ++i) {
    pushes.push_back(MakePush(Operations(i, i)));
    ASSERT_OK(source_->Push(pushes.back()));
    if (i == kPushesKept) {
      EXPECT_OK(source_->FindPush(PushId(pushes[0])));
    }
  }
  EXPECT_THAT(source_->FindPush(PushId(pushes[0])), StatusIs(ErrorCode::kNotFound));
  EXPECT_OK(source_->FindPush(PushId(pushes[1])));
}

TEST_F(PushTest, ASessionExpiresWhenTooMuchIsWrittenMeanwhile) {
  Put("visits", "1", "a");
  const auto session =
      source_->StartSession({.device = "tablet", .incarnation = std::string(16, '\xaa')});
  ASSERT_OK(session);
  constexpr uint64_t kBound = 10'000;
  for (uint64_t first = 1; first <= kBound; first += kPushOperationsMax) {
    ASSERT_OK(source_->Push(MakePush(Operations(first, first + kPushOperationsMax - 1))));
  }
  EXPECT_TRUE(source_->GetDevice("tablet")->session_open);
  ASSERT_OK(source_->Push(MakePush(Operations(kBound + 1, kBound + 1))));
  EXPECT_THAT(source_->NextPage((*session)->id), StatusIs(ErrorCode::kSessionExpired));
}

TEST_F(PushTest, NumbersThatDoNotIncreaseAreRefused) {
  EXPECT_THAT(source_->Push(MakePush({{.number = 0, .id = "1"}})),
              StatusIs(ErrorCode::kMalformedBatch));
  EXPECT_THAT(source_->Push(MakePush({{.number = 3, .id = "1"}, {.number = 3, .id = "2"}})),
              StatusIs(ErrorCode::kMalformedBatch));
  EXPECT_THAT(source_->Push(MakePush({})), StatusIs(ErrorCode::kInvalidArgument));
  EXPECT_THAT(Live(), IsEmpty());
}

TEST_F(PushTest, WritesPullsAndPushesAtTheSameTime) {
  constexpr int kWrites = 150;
  const auto put_there = [this](int i) {
    return store_->Commit(WriteBatch().Put(
        "plans", RecordId(static_cast<int64_t>(i % 20)), "plan " + std::to_string(i)));
  };
  const auto put_here = [this](int i) {
    return tablet_.replica->Write(
        WriteBatch()
            .Put("visits", RecordId(static_cast<int64_t>(i % 30)), "visit " + std::to_string(i))
            .Append("events", "happened " + std::to_string(i)));
  };
  std::atomic<bool> done = false;
  std::vector<std::thread> threads;
  threads.emplace_back([&] {
    for (int i = 0; i < kWrites; ++i) EXPECT_OK(put_here(i));
    done = true;
  });
  threads.emplace_back([&] {
    for (int i = 0; !done; ++i) EXPECT_OK(put_there(i));
  });
  threads.emplace_back([&] {
    LocalTransport transport(*source_);
    while (!done) EXPECT_OK(tablet_.replica->Push(transport));
  });
  threads.emplace_back([&] {
    LocalTransport transport(*source_);
    while (!done) EXPECT_OK(tablet_.replica->Pull(transport));
  });
  for (std::thread& thread : threads) thread.join();
  Push();
  Pull();
  EXPECT_TRUE(Pull().nothing_owed);
  EXPECT_THAT(Outbox(), IsEmpty());
  EXPECT_EQ(Held(), Live());
  EXPECT_EQ(store_->FindEntity("events")->record_count, static_cast<uint64_t>(kWrites));
}

}  // namespace
}  // namespace tidemark
