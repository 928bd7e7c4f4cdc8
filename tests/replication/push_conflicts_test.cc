// What becomes of a device's write whose record somebody else changed meanwhile, where a callback,
// the last writer or a timestamp decides (contract 36, decision B22). The loser is kept and
// visible.
#include <functional>
#include <map>
#include <stdexcept>
#include <string>
#include <string_view>
#include <vector>

#include "tests/replication/push_conflicts_fixture.h"

namespace tidemark {
namespace {

using test::LossyTransport;
using test::PushConflictsTest;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::SizeIs;

// By callback.

ConflictResolution Merged(std::string value) {
  return {.choice = ConflictChoice::kTakeMerged, .value = std::move(value)};
}

TEST_F(PushConflictsTest, WithoutACallbackItIsAConflictThatSaysSo) {
  Declare(ConflictPolicy::kCallback);
  There("1", R"({"a":1})");
  Pull();
  Here("1", R"({"a":2})");
  There("1", R"({"a":3})");
  LossyTransport transport(*source_);
  const auto answers = PushRaw(&transport);
  EXPECT_EQ(answers[0].outcome, PushOutcome::kConflict);
  EXPECT_THAT(answers[0].message, HasSubstr("this source has none"));
  EXPECT_THAT(Outbox(), ElementsAre("failed put visits/1 conflict"));
  ExpectEqualAfterPull();
}

TEST_F(PushConflictsTest, TheCallbackIsToldBothSides) {
  std::vector<std::string> told;
  ByCallback([&](const Conflict& conflict) -> ConflictResolution {
    std::string text = std::string(conflict.device) + " " + std::string(conflict.entity) + "/" +
                       conflict.id.text() + " ";
    text += conflict.current ? std::string(conflict.current->bytes) : "gone";
    text += conflict.version > conflict.base ? " later " : " other ";
    told.push_back(text + (conflict.pushed ? std::string(conflict.pushed->bytes) : "deleted"));
    return {};
  });
  for (const char* id : {"1", "2", "3"}) There(id, R"({"a":1})");
  Pull();
  Here("1", R"({"a":2})");
  There("1", R"({"a":3})");
  DeleteHere("2");
  There("2", R"({"a":4})");
  Here("3", R"({"a":5})");
  DeleteThere("3");
  EXPECT_EQ(Push().count(PushOutcome::kConflict), 3U);
  EXPECT_THAT(told,
              ElementsAre(R"(tablet visits/1 {"a":3} later {"a":2})",
                          R"(tablet visits/2 {"a":4} later deleted)",
                          R"(tablet visits/3 gone other {"a":5})"));
  ExpectEqualAfterPull();
}

TEST_F(PushConflictsTest, TheCallbackIsNotAskedWhereThereIsNoConflict) {
  int calls = 0;
  ByCallback([&](const Conflict&) -> ConflictResolution {
    ++calls;
    return {};
  });
  There("1", R"({"a":1})");
  Pull();
  Here("1", R"({"a":2})");
  Here("1", R"({"a":3})");
  Here("2", R"({"a":3})");
  There("3", R"({"a":3})");
  Here("3", R"({"a":3})");  // and by chance the same
  EXPECT_EQ(Push().count(PushOutcome::kApplied), 4U);
  EXPECT_EQ(calls, 0);
  ExpectEqualAfterPull();
}

TEST_F(PushConflictsTest, TheCallbackTakesWhatWasPushed) {
  ByCallback(
      [](const Conflict&) { return ConflictResolution{.choice = ConflictChoice::kTakePushed}; });
  for (const char* id : {"1", "2", "3"}) There(id, R"({"a":1})");
  Pull();
  Here("1", R"({"a":2})");
  There("1", R"({"a":3})");
  DeleteHere("2");
  There("2", R"({"a":4})");
  Here("3", R"({"a":5})");
  DeleteThere("3");
  EXPECT_EQ(Push().count(PushOutcome::kApplied), 3U);
  EXPECT_EQ(AtSource("1"), R"({"a":2})");
  EXPECT_FALSE(Live().contains("visits/2"));
  EXPECT_EQ(AtSource("3"), R"({"a":5})");
  EXPECT_THAT(Lost(), ElementsAre(HasSubstr(R"({"a":3})"), HasSubstr(R"({"a":4})")));
  EXPECT_TRUE(Pull().nothing_owed);
  EXPECT_EQ(Held(), Live());
}

TEST_F(PushConflictsTest, TheCallbackMakesAValueOfItsOwn) {
  ByCallback([](const Conflict&) { return Merged(R"({ "made" : true })"); });
  for (const char* id : {"1", "2", "3"}) There(id, R"({"a":1})");
  Pull();
  Here("1", R"({"a":2})");
  Here("1", R"({"a":22})");  // asked again: it does not know what became of the first
  There("1", R"({"a":3})");
  DeleteHere("2");
  There("2", R"({"a":4})");
  Here("3", R"({"a":5})");
  DeleteThere("3");
  EXPECT_EQ(Push().count(PushOutcome::kApplied), 4U);
  for (const char* id : {"1", "2", "3"}) EXPECT_EQ(AtSource(id), R"({"made":true})");
  EXPECT_THAT(Lost(), SizeIs(2));
  ExpectEqualAfterPull();
}

TEST_F(PushConflictsTest, WhatTheCallbackDoesWrongRefusesThatOperationAlone) {
  const std::map<std::string, std::function<ConflictResolution()>> wrongs = {
      {"throws",
       []() -> ConflictResolution {
         throw std::runtime_error("no \xff idea\n");
       }},
      {"throws what is none",
       []() -> ConflictResolution {
         throw 7;
       }},  // NOLINT
      {"no json",
       [] {
         return Merged("{");
       }},
      {"too deep",
       [] {
         return Merged(std::string(kJsonDepthMax + 1, '[') + std::string(kJsonDepthMax + 1, ']'));
       }},
      {"too large",
       [] {
         return Merged("\"" + std::string(kValueBytesMax, 'x') + "\"");
       }},
      {"against the schema",
       [] {
         return Merged(R"({"a":"text"})");
       }},
      {"no object",
       [] {
         return Merged("[]");
       }},
      {"a kind that is none",
       [] {
         return ConflictResolution{
             .choice = ConflictChoice::kTakeMerged, .kind = ValueKind::kReference, .value = "x"};
       }},
      {"a choice that is none",
       [] {
         return ConflictResolution{.choice = static_cast<ConflictChoice>(9)};
       }},
  };
  ByCallback([&](const Conflict& conflict) { return wrongs.at(conflict.id.text())(); });
  EntityDeclaration declaration;
  declaration.conflicts = ConflictPolicy::kCallback;
  declaration.fields = {{.name = "a", .type = FieldType::kInteger}};
  Declare(declaration);
  for (const auto& [id, wrong] : wrongs) There(id, R"({"a":1})");
  Pull();
  for (const auto& [id, wrong] : wrongs) Here(id, R"({"a":2})");
  Here("neighbour", R"({"a":2})");
  for (const auto& [id, wrong] : wrongs) There(id, R"({"a":3})");
  LossyTransport transport(*source_);
  const auto answers = PushRaw(&transport);
  ASSERT_THAT(answers, SizeIs(wrongs.size() + 1));
  for (size_t i = 0; i < wrongs.size(); ++i) {
    EXPECT_EQ(answers[i].outcome, PushOutcome::kConflict) << i;
    EXPECT_EQ(answers[i].code, "resolver_failed") << answers[i].message;
  }
  EXPECT_EQ(answers.back().outcome, PushOutcome::kDuplicate);
  EXPECT_THAT(Lost(), IsEmpty());
  for (const auto& [id, wrong] : wrongs) EXPECT_EQ(AtSource(id), R"({"a":3})") << id;
  ExpectEqualAfterPull();
}

TEST_F(PushConflictsTest, ARecordThatChangesWhileTheCallbackThinksIsDecidedAgain) {
  int calls = 0;
  ByCallback([&](const Conflict& conflict) {
    if (++calls == 1) There("1", R"({"a":4})");
    return Merged(R"({"was":)" + std::string(conflict.current->bytes) + "}");
  });
  There("1", R"({"a":1})");
  Pull();
  Here("1", R"({"a":2})");
  There("1", R"({"a":3})");
  EXPECT_EQ(Push().count(PushOutcome::kApplied), 1U);
  EXPECT_EQ(calls, 2);
  EXPECT_EQ(AtSource("1"), R"({"was":{"a":4}})");
  EXPECT_THAT(Lost(), ElementsAre(HasSubstr(R"("data":{"a":4})")));
  ExpectEqualAfterPull();
}

TEST_F(PushConflictsTest, BytesGoToTheCallbackAndComeFromIt) {
  ByCallback([](const Conflict& conflict) {
    EXPECT_EQ(conflict.current->kind, ValueKind::kBytes);
    return ConflictResolution{
        .choice = ConflictChoice::kTakeMerged,
        .kind = ValueKind::kBytes,
        .value = std::string(conflict.current->bytes) + "+" + std::string(conflict.pushed->bytes)};
  });
  Put("visits", "1", "base");
  Pull();
  WriteHere("1", "mine");
  Put("visits", "1", "theirs");
  EXPECT_EQ(Push().count(PushOutcome::kApplied), 1U);
  EXPECT_EQ(AtSource("1"), "theirs+mine");
  ExpectEqualAfterPull();
}

TEST_F(PushConflictsTest, ADeletionThatGoesEndsTheLivesThatItDidNotKnowOf) {
  Declare(ConflictPolicy::kLastWriter);
  There("1", R"({"a":1})");
  Pull();
  DeleteHere("1");
  DeleteThere("1");
  There("1", R"({"a":2})");
  EXPECT_EQ(Push().count(PushOutcome::kApplied), 1U);
  EXPECT_THAT(Lost(), SizeIs(1));
  EXPECT_THAT(Live(), IsEmpty());
  EXPECT_TRUE(Pull().nothing_owed) << "told to delete what it deleted itself";
  EXPECT_EQ(source_->GetDevice("tablet")->holding, 0U);
}

// By time.

TEST_F(PushConflictsTest, AVersionThatANewerTimestampReplacesUnseenIsKept) {
  const auto timed = [](std::string_view value, int64_t time) {
    return WriteBatch().Put(
        "visits", "1", value, ValueKind::kBytes, WriteCondition{.if_newer = time});
  };
  ASSERT_OK(store_->Commit(timed("base", 100)));
  Pull();
  ASSERT_OK(tablet_.replica->Write(timed("mine", 300)));
  ASSERT_OK(store_->Commit(timed("theirs", 200)));
  EXPECT_EQ(Push().count(PushOutcome::kApplied), 1U);
  EXPECT_EQ(AtSource("1"), "mine");
  ASSERT_THAT(Lost(), SizeIs(1));
  EXPECT_TRUE(Pull().nothing_owed);
  ASSERT_OK(tablet_.replica->Write(timed("mine too", 400)));
  EXPECT_EQ(Push().count(PushOutcome::kApplied), 1U);
  EXPECT_THAT(Lost(), SizeIs(1)) << "nobody else wrote in between";
}

}  // namespace
}  // namespace tidemark
