// The hardest correctness cases, continued: ordering, selections, restores, purge; by number.
#include <atomic>
#include <filesystem>
#include <fstream>
#include <map>
#include <string>
#include <thread>
#include <vector>

#include "db/backup.h"
#include "format/token.h"
#include "replication/replica.h"
#include "replication/upload.h"
#include "tests/replication/source_fixture.h"

namespace tidemark {
namespace {

using test::MapDevice;
using test::StatusIs;
using test::ToTexts;
using ::testing::AnyOf;
using ::testing::ElementsAre;
using ::testing::IsEmpty;
using ::testing::SizeIs;
using ::testing::UnorderedElementsAre;

class CasesChangesTest : public test::SourceTest {
 protected:
  void Restore(const std::filesystem::path& backups) {
    Close();
    std::filesystem::remove_all(path_);
    ASSERT_OK(RestoreBackup(backups, 0, path_, runtime_));
    Open();
  }
  static void FlipBit(const std::filesystem::path& file) {
    std::fstream stream(file, std::ios::in | std::ios::out | std::ios::binary);
    const auto middle = static_cast<std::streamoff>(std::filesystem::file_size(file) / 2);
    stream.seekg(middle);
    const auto byte = static_cast<char>(stream.get());
    stream.seekp(middle);
    stream.put(static_cast<char>(byte ^ 0x10));
  }
};

TEST_F(CasesChangesTest, Case23PurgeRacesWithTheStartOfASession) {
  for (int round = 0; round < 20; ++round) {
    const std::string id = std::to_string(round);
    MapDevice device = Device();
    Put("users", id, "x");
    device.Sync();
    Delete("users", id);
    std::atomic<bool> stop = false;
    std::thread purger([&] {
      while (!stop) EXPECT_OK(source_->Purge());
    });
    EXPECT_THAT(device.Sync(), ElementsAre("deleted users/" + id));
    stop = true;
    purger.join();
    EXPECT_OK(source_->Purge());
    EXPECT_EQ(Tombstones(), 0U);
  }
}

TEST_F(CasesChangesTest, Case25RestoredFromAnOlderCopy) {
  Put("users", "1", "a");
  Put("users", "2", "b");
  MapDevice device = Device();
  device.Sync();
  const std::filesystem::path backups = directory_.path() / "backups";
  ASSERT_OK(CreateBackup(*store_, backups));
  const SequenceNumber branch = store_->last_sequence();
  Put("users", "lost", "x");
  Delete("users", "1");
  device.Sync();
  const SequenceNumber lost = store_->last_sequence();

  Restore(backups);
  EXPECT_GT(store_->last_sequence(), lost) << "numbers of the lost future are used again";
  EXPECT_GE(store_->identity().epochs.back().branch, branch);
  Put("users", "3", "after the restore");
  device.Move(*source_);
  ASSERT_TRUE(device.Start());
  EXPECT_TRUE(device.session().reset) << "it cannot show that it is at or before the branch";
  device.Drain();
  EXPECT_EQ(device.map(), Live());
  EXPECT_FALSE(device.Start());
}

TEST_F(CasesChangesTest, Case25TwoRestoresOfOneBackupAreTwoHistories) {
  Put("users", "1", "a");
  MapDevice device = Device();
  device.Sync();
  const std::filesystem::path backups = directory_.path() / "backups";
  ASSERT_OK(CreateBackup(*store_, backups));

  Restore(backups);
  const StoreIdentity first = store_->identity();
  Put("users", "first", "x");
  device.Move(*source_);
  ASSERT_TRUE(device.Start());
  const std::string session = device.session().id;
  const Page page = device.Read();
  device.Apply(page);
  const std::vector<std::string> keys = device.Keys(page);

  Restore(backups);
  const StoreIdentity second = store_->identity();
  EXPECT_EQ(first.epochs.back().ordinal, second.epochs.back().ordinal);
  EXPECT_NE(EpochTag(first.epochs.back().id), EpochTag(second.epochs.back().id));
  Put("users", "second", "y");
  MapDevice twin = Device();
  ASSERT_TRUE(twin.Start());
  EXPECT_FALSE(source_->NextPage(session).ok()) << "a session of the first restore";
  const Page other = twin.Read();
  for (const std::vector<std::string>& foreign : {std::vector{page.token}, keys}) {
    const AckResult result = twin.Acknowledge(foreign);
    EXPECT_EQ(result.ignored, foreign.size());
    EXPECT_EQ(result.reasons.front(), "a key of an older epoch");
  }
  EXPECT_EQ(store_->identity().epochs.size(), second.epochs.size()) << "no proof of a rewind";
  EXPECT_EQ(twin.Acknowledge({other.token}).applied, other.records);

  const auto again = source_->StartSession({.device = "tablet", .position = page.token});
  ASSERT_OK(again);
  ASSERT_TRUE(again->has_value());
  EXPECT_TRUE((*again)->reset) << "a position of the first restore";
}

TEST_F(CasesChangesTest, Case25AReplicaMovesBetweenTwoRestoresOfOneBackup) {
  Put("users", "1", "a");
  auto replica = Replica::Open(directory_.path() / "replica", "tablet", {}, runtime_);
  ASSERT_OK(replica);
  const auto pull = [&] {
    LocalTransport transport(*source_);
    auto pulled = (*replica)->Pull(transport);
    EXPECT_OK(pulled);
    return pulled.ok() && pulled->reset;
  };
  const auto held = [&](const std::string& id) {
    const auto record = (*replica)->store().Get("users", id);
    return record.ok() && record->has_value();
  };
  EXPECT_FALSE(pull());
  const std::filesystem::path backups = directory_.path() / "backups";
  ASSERT_OK(CreateBackup(*store_, backups));
  for (int round = 0; round < 3; ++round) {
    Restore(backups);
    // Each history numbers its sessions like the others, and each ends behind the one before.
    for (int i = round; i < 3; ++i) {
      Put("users", std::to_string(round) + "-" + std::to_string(i), "x");
      EXPECT_EQ(pull(), i == round && round > 0) << round << " " << i;
    }
    for (int other = 0; other < 3; ++other) {
      EXPECT_EQ(held(std::to_string(other) + "-2"), other == round) << other;
    }
  }
}

TEST_F(CasesChangesTest, Case25OnlyTheLostFutureServedTheDevice) {
  Put("users", "1", "a");
  ASSERT_OK(source_->Select("registered", SelectionRule::Entities({"users"})));
  const std::filesystem::path backups = directory_.path() / "backups";
  for (const std::string id : {"unknown", "registered"}) {
    ASSERT_OK(CreateBackup(*store_, backups));
    Put("users", "lost", "x");
    const auto replica = Replica::Open(directory_.path() / id, id, {}, runtime_);
    ASSERT_OK(replica);
    const auto pull = [&]() {
      LocalTransport transport(*source_);
      const auto pulled = (*replica)->Pull(transport);
      EXPECT_OK(pulled);
      return pulled.ok() && pulled->reset;
    };
    const auto held = [&](const std::string& record) {
      return (*replica)->store().Get("users", record)->has_value();
    };
    EXPECT_FALSE(pull());
    EXPECT_TRUE(held("lost"));
    Restore(backups);
    EXPECT_TRUE(pull()) << id;
    EXPECT_FALSE(held("lost")) << id;
    EXPECT_TRUE(held("1")) << id;
  }
}

TEST_F(CasesChangesTest, Case26MarksNewerThanTheDataNeverMakeADeafDevice) {
  // Marks and data are one store: a restore rewinds both, and an acknowledgement of the lost future
  // proves a rewind that nobody declared.
  Put("users", "1", "a");
  MapDevice device = Device();
  device.Sync();
  Close();
  const std::filesystem::path copy = directory_.path() / "copy";
  CopyStore(path_, copy);
  Open();
  device.Move(*source_);
  Put("users", "2", "lost");
  ASSERT_TRUE(device.Start());
  const Page page = device.Read();
  device.Apply(page);
  Close();
  CopyStore(copy, path_);
  Open();
  device.Move(*source_);
  const size_t epochs = store_->identity().epochs.size();
  EXPECT_EQ(device.Acknowledge({page.token}).ignored, 1U);
  EXPECT_EQ(store_->identity().epochs.size(), epochs + 1);
  Put("users", "3", "c");
  ASSERT_TRUE(device.Start());
  EXPECT_TRUE(device.session().reset);
  device.Drain();
  EXPECT_EQ(device.map(), Live());
}

TEST_F(CasesChangesTest, Case27DataNewerThanMarksIsDeliveredAgain) {
  Put("users", "1", "a");
  MapDevice device = Device();
  ASSERT_TRUE(device.Start());
  const Page page = device.Read();
  device.Apply(page);
  Put("users", "2", "b");
  EXPECT_THAT(device.Sync(), ElementsAre("created users/1=a", "created users/2=b"));
  EXPECT_EQ(device.map(), Live());
}

TEST_F(CasesChangesTest, Case28BackupTakenWhileWriting) {
  const std::filesystem::path backups = directory_.path() / "backups";
  std::atomic<bool> stop = false;
  std::atomic<int> written = 0;
  std::thread writer([&] {
    for (int i = 0; !stop && i < 5000; ++i) {
      Put("users", std::to_string(i % 50), std::to_string(i));
      ++written;
    }
  });
  while (written < 20) std::this_thread::yield();
  EXPECT_OK(CreateBackup(*store_, backups));
  stop = true;
  writer.join();
  const SequenceNumber lost = store_->last_sequence();
  Restore(backups);
  EXPECT_GT(store_->last_sequence(), lost);
  SequenceNumber highest;
  RecordIterator records = store_->GetView().Scan("users", ScanOptions{});
  while (records.Next()) highest = std::max(highest, records.record().version);
  EXPECT_LE(highest, store_->last_sequence());
  EXPECT_OK(store_->Verify([](const std::string& problem) { ADD_FAILURE() << problem; }));
}

TEST_F(CasesChangesTest, WhatNobodyNeedsIsForgottenByItself) {
  MapDevice device = Device();
  for (int round = 0; round < 3; ++round) {
    WriteBatch puts;
    WriteBatch deletes;
    for (int i = 0; i < 1500; ++i) {
      puts.Put("users", "u" + std::to_string(i), "x");
      deletes.Delete("users", "u" + std::to_string(i));
    }
    ASSERT_OK(store_->Commit(puts));
    device.Sync(1000);
    ASSERT_OK(store_->Commit(deletes));
    EXPECT_GE(Tombstones(), 1500U);
    device.Sync(1000);
    EXPECT_EQ(Tombstones(), 0U) << "no purge was asked for";
  }
}

TEST_F(CasesChangesTest, DroppedEntitiesLeaveOnceNobodyIsOwedTheirDeletions) {
  store_options_.follower_retention_ms = 0;
  Reopen();
  Put("keys", "1", "a");
  Put("users", "1", "a");
  const EntityNumber dropped = store_->FindEntity("users")->number;
  MapDevice device = Device();
  device.Sync();
  ASSERT_OK(store_->Drop("users"));
  ASSERT_OK(store_->Compact());
  EXPECT_EQ(source_->Upkeep()->entities_removed, 0U) << "the device is owed its deletion";
  EXPECT_THAT(device.Sync(), ElementsAre("deleted users/1"));
  ASSERT_OK(source_->Upkeep());
  EXPECT_THAT(store_->ListEntities(/*dropped=*/true), SizeIs(1));
  for (int opened = 0; opened < 2; ++opened) {
    Reopen();
    EXPECT_THAT(store_->ListEntities(/*dropped=*/true), SizeIs(1));
    EXPECT_OK(store_->Verify([](const std::string& problem) { ADD_FAILURE() << problem; }));
  }
  Put("users", "1", "b");
  EXPECT_GT(store_->FindEntity("users")->number, dropped) << "numbers are not used again";
  device.Move(*source_);
  EXPECT_THAT(device.Sync(), ElementsAre("created users/1=b"));
}

TEST_F(CasesChangesTest, Case32NoReaderPassesWhatIsNotVisible) {
  // Every batch raises all counters to the same number: a session must never see two numbers.
  constexpr int kCounters = 5;
  const auto raise = [this](int value) {
    WriteBatch batch;
    for (int i = 0; i < kCounters; ++i) {
      batch.Put(i % 2 == 0 ? "users" : "visits", "c" + std::to_string(i), std::to_string(value));
    }
    EXPECT_OK(store_->Commit(batch, {.sync = value % 3 == 0}));
  };
  raise(0);
  std::atomic<bool> stop = false;
  std::atomic<int> next = 1;
  std::vector<std::thread> writers;
  for (int w = 0; w < 3; ++w) {
    writers.emplace_back([&] {
      while (!stop) raise(next++);
    });
  }
  MapDevice device = Device();
  for (int round = 0; round < 50; ++round) {
    device.Sync(2);
    ASSERT_THAT(device.map(), SizeIs(kCounters));
    for (const auto& [name, value] : device.map()) {
      ASSERT_EQ(value, device.map().begin()->second) << name << " in round " << round;
    }
  }
  stop = true;
  for (std::thread& writer : writers) writer.join();
  device.Sync();
  EXPECT_EQ(device.map(), Live());
}

TEST_F(CasesChangesTest, Case33OneBatchCutInTheMiddleOfAPage) {
  WriteBatch batch;
  for (int i = 0; i < 250; ++i) batch.Put("users", std::to_string(1000 + i), "x");
  ASSERT_OK(store_->Commit(batch));
  MapDevice device = Device();
  ASSERT_TRUE(device.Start());
  EXPECT_EQ(device.session().pages, 3U);
  const Page first = device.Read();
  device.Apply(first);
  device.Acknowledge({first.token});
  ASSERT_TRUE(device.Start());
  EXPECT_EQ(device.session().owed, 150U);
  const std::vector<std::string> rest = device.Drain();
  ASSERT_THAT(rest, SizeIs(150));
  EXPECT_EQ(rest.front(), "created users/1100=x");
  EXPECT_EQ(device.map(), Live());
}

TEST_F(CasesChangesTest, Case34APositionSaysNothingOfWhatASelectionLeftOut) {
  ASSERT_OK(source_->Select("tablet", SelectionRule::Entities({"users"})));
  Put("users", "1", "a");
  Put("visits", "left out", "v");
  Put("users", "2", "b");
  MapDevice device = Device();
  EXPECT_THAT(device.Sync(1), ElementsAre("created users/1=a", "created users/2=b"));
  EXPECT_EQ(source_->GetDevice("tablet")->floor, store_->last_sequence());
  // The floor passed what was left out, and speaks for the selection alone.
  ASSERT_OK(source_->Select("tablet", SelectionRule::Entities({"visits"})));
  EXPECT_THAT(device.Sync(1),
              ElementsAre("deleted users/1", "created visits/left out=v", "deleted users/2"));
  // A session that is cut short under another selection moves no position past what it left out.
  Put("users", "3", "c");
  Put("visits", "new", "w");
  ASSERT_TRUE(device.Start());
  device.Read(1);
  ASSERT_OK(source_->Select("tablet", SelectionRule::Everything()));
  device.Sync();
  EXPECT_EQ(device.map(), Live());
}

TEST_F(CasesChangesTest, Case35TransactionSplitOverPages) {
  // The boundary is the cut, which is never inside a batch; pages are parts of a session.
  MapDevice device = Device();
  for (int i = 0; i < 3; ++i) {
    WriteBatch batch;
    batch.Put("orders", std::to_string(i), "o").Put("lines", std::to_string(i), "l");
    const auto committed = store_->Commit(batch);
    ASSERT_OK(committed);
    ASSERT_TRUE(device.Start());
    EXPECT_EQ(device.session().cut, committed->sequence);
    EXPECT_THAT(device.Drain(1), SizeIs(2));
    EXPECT_EQ(device.map(), Live());
  }
}

TEST_F(CasesChangesTest, Case36SelectionWidenedAfterTheMarkPassed) {
  ASSERT_OK(source_->Select("tablet", SelectionRule::Entities({"users"})));
  Put("visits", "1", "v");
  Put("users", "1", "a");
  MapDevice device = Device();
  EXPECT_THAT(device.Sync(), ElementsAre("created users/1=a"));
  ASSERT_OK(source_->Select("tablet", SelectionRule::Entities({"users", "visits"})));
  EXPECT_THAT(device.Sync(), ElementsAre("created visits/1=v"));
  ASSERT_OK(source_->Select("tablet", SelectionRule::Everything()));
  EXPECT_FALSE(device.Start());
}

TEST_F(CasesChangesTest, Case37SelectionNarrowedAndWidenedAgain) {
  Put("visits", "served", "v");
  Put("users", "1", "a");
  MapDevice device = Device();
  device.Sync();
  MapDevice other = Device("phone");
  other.Sync();
  Put("visits", "never served", "w");
  ASSERT_OK(source_->Select("tablet", SelectionRule::Entities({"users"})));
  EXPECT_THAT(device.Sync(), ElementsAre("deleted visits/served"));
  EXPECT_THAT(device.map(), SizeIs(1));
  EXPECT_THAT(other.Sync(), ElementsAre("created visits/never served=w")) << "others see nothing";
  ASSERT_OK(source_->Select("tablet", SelectionRule::Everything()));
  EXPECT_THAT(device.Sync(),
              ElementsAre("created visits/served=v", "created visits/never served=w"));
  // Flapping without a session between says nothing.
  ASSERT_OK(source_->Select("tablet", SelectionRule::Entities({})));
  ASSERT_OK(source_->Select("tablet", SelectionRule::Everything()));
  EXPECT_FALSE(device.Start());
}

TEST_F(CasesChangesTest, Case37NothingLeavesThatWasRevokedDuringTheDrain) {
  Put("users", "1", "a");
  Put("visits", "1", "v");
  Put("users", "2", "b");
  MapDevice device = Device();
  ASSERT_TRUE(device.Start());
  device.Apply(device.Read(1));
  ASSERT_OK(source_->Select("tablet", SelectionRule::Entities({"users"})));
  EXPECT_THAT(device.Drain(1), ElementsAre("created users/2=b"));
  EXPECT_FALSE(source_->GetDevice("tablet")->at_rest)
      << "the session cannot claim what it held back";
}

TEST_F(CasesChangesTest, Case37RevokedAndGrantedAgainWhileNothingSettles) {
  Put("visits", "1", "v");
  Put("users", "1", "a");
  MapDevice device = Device();
  // The first page of every session is lost: none settles, and all changes stay to be looked at.
  ASSERT_TRUE(device.Start());
  device.Read(1);
  const Page users = device.Read(1);
  device.Apply(users);
  EXPECT_EQ(device.Acknowledge({users.token}).applied, 1U);
  for (const bool acknowledged : {false, true}) {
    ASSERT_OK(source_->Select("tablet", SelectionRule::Entities({"visits"})));
    ASSERT_TRUE(device.Start());
    device.Read(1);
    const Page revoked = device.Read(1);
    EXPECT_THAT(ToTexts(revoked.bytes), ElementsAre("deleted users/1"));
    device.Apply(revoked);
    if (acknowledged) device.Acknowledge({revoked.token});
    ASSERT_OK(source_->Select("tablet", SelectionRule::Everything()));
    ASSERT_TRUE(device.Start());
    device.Read(1);
    const Page granted = device.Read(1);
    EXPECT_THAT(ToTexts(granted.bytes), ElementsAre("created users/1=a"))
        << "its version was acknowledged before it was told deleted";
    device.Apply(granted);
    device.Acknowledge({granted.token});
  }
  device.Sync();
  EXPECT_EQ(device.map(), Live());
}

TEST_F(CasesChangesTest, Case45SeveralChangesOfOneIdInABatch) {
  Put("users", "1", "a");
  Put("users", "2", "b");
  Put("users", "3", "c");
  MapDevice device = Device();
  device.Sync();
  WriteBatch batch;
  batch.Put("users", "1", "created in the batch").Delete("users", "1");
  batch.Put("users", "2", "changed").Delete("users", "2");
  batch.Delete("users", "3").Put("users", "3", "c again");
  batch.Put("users", "4", "x").Delete("users", "4");
  ASSERT_OK(store_->Commit(batch));
  const std::vector<std::string> told = device.Sync();
  EXPECT_THAT(told,
              UnorderedElementsAre("deleted users/1",
                                   "deleted users/2",
                                   AnyOf("created users/3=c again", "updated users/3=c again")));
  EXPECT_EQ(device.map(), Live());
}

TEST_F(CasesChangesTest, Case51PurgeAndCompactionDuringADrain) {
  for (int i = 0; i < 10; ++i) Put("users", std::to_string(i), "x");
  MapDevice device = Device();
  ASSERT_TRUE(device.Start());
  const uint64_t owed = device.session().owed;
  uint64_t done = 0;
  for (int i = 0; i < 10; ++i) {
    Delete("users", std::to_string(9 - i));
    EXPECT_OK(source_->Purge());
    EXPECT_OK(store_->Compact());
    const Page page = device.Read(1);
    done += page.records;
    EXPECT_EQ(page.left, owed - done);
    device.Apply(page);
    device.Acknowledge({page.token});
  }
  EXPECT_THAT(device.Next(), test::IsDrained());
  EXPECT_THAT(device.map(), SizeIs(10));
  EXPECT_THAT(device.Sync(), SizeIs(10));
  EXPECT_THAT(device.map(), IsEmpty());
}

TEST_F(CasesChangesTest, AnIdOfADroppedEntityDeclaredAnewIsOneCreated) {
  for (const std::string id : {"1", "2"}) Put("users", id, "old");
  MapDevice device = Device();
  device.Sync();
  for (int round = 0; round < 2; ++round) {
    ASSERT_OK(store_->Drop("users"));
    Put("users", "2", "new" + std::to_string(round));
    ASSERT_TRUE(device.Start());
    const Page page = device.Read();
    if (round == 0) {
      EXPECT_THAT(ToTexts(page.bytes), ElementsAre("deleted users/1", "created users/2=new0"));
    } else {
      EXPECT_THAT(ToTexts(page.bytes), ElementsAre("created users/2=new1"));
    }
    device.Apply(page);
    device.Acknowledge({page.token});
    EXPECT_EQ(device.map(), Live());
    EXPECT_OK(source_->Purge());
    EXPECT_EQ(Tombstones(), 0U) << "the created discharged the older life";
  }
  ASSERT_OK(store_->Drop("users"));
  ASSERT_OK(store_->Commit(WriteBatch().Append("users", RecordId("2"), "an event")));
  EXPECT_THAT(device.Sync(), ElementsAre("created users/2=an event"));
}

TEST_F(CasesChangesTest, Case52EntityDroppedWhileItsPagesAreRead) {
  for (int i = 0; i < 4; ++i) Put("users", std::to_string(i), "x");
  Put("visits", "1", "v");
  MapDevice device = Device();
  ASSERT_TRUE(device.Start());
  device.Apply(device.Read(1));
  ASSERT_OK(store_->Drop("users"));
  EXPECT_OK(source_->Purge());
  EXPECT_OK(store_->Compact());
  EXPECT_THAT(
      device.Drain(1),
      ElementsAre(
          "created users/1=x", "created users/2=x", "created users/3=x", "created visits/1=v"));
  EXPECT_THAT(device.Sync(), SizeIs(4));
  EXPECT_EQ(device.map(), Live());
  EXPECT_OK(source_->Purge());
  EXPECT_EQ(Tombstones(), 0U);
}

TEST_F(CasesChangesTest, Case29OneFlippedBitInAnyFileIsNeverServed) {
  for (int i = 0; i < 300; ++i) Put("users", std::to_string(i), "value-" + std::to_string(i));
  ASSERT_OK(store_->Compact());
  for (int i = 300; i < 320; ++i) Put("users", std::to_string(i), "value-" + std::to_string(i));
  const std::map<std::string, std::string> all = Live();
  Close();
  std::vector<std::filesystem::path> files;
  for (const auto& file : std::filesystem::recursive_directory_iterator(path_)) {
    if (file.is_regular_file() && file.file_size() > 0) files.push_back(file.path());
  }
  const std::filesystem::path whole = path_;
  uint64_t noticed = 0;
  for (const std::filesystem::path& file : files) {
    path_ = directory_.path() / "damaged";
    std::filesystem::remove_all(path_);
    std::filesystem::copy(whole, path_, std::filesystem::copy_options::recursive);
    FlipBit(path_ / std::filesystem::relative(file, whole));
    auto store = Store::Open(path_, store_options_, runtime_);
    if (!store.ok()) {
      EXPECT_THAT(store.status().code(),
                  AnyOf(ErrorCode::kCorruption, ErrorCode::kDataLoss, ErrorCode::kNewerFormat))
          << file;
      ++noticed;
      continue;
    }
    // What is read at all is right; what is not is an error that says where.
    RecordIterator records = (*store)->GetView().Scan("users", ScanOptions{});
    while (records.Next()) {
      const auto expected = all.find("users/" + records.id());
      ASSERT_NE(expected, all.end()) << file;
      EXPECT_EQ(records.value(), expected->second) << file;
    }
    if (!records.status().ok()) {
      EXPECT_THAT(records.status(), StatusIs(ErrorCode::kCorruption));
      EXPECT_FALSE(records.status().message().empty());
      ++noticed;
    }
  }
  path_ = whole;
  EXPECT_GE(noticed, 2U) << "of " << files.size() << " files";
  Open();
  EXPECT_EQ(Live(), all);
}

TEST_F(CasesChangesTest, Case39ReplacedWhileADeviceDrains) {
  const auto opened = Uploads::Open(*store_);
  ASSERT_OK(opened);
  const auto& uploads = *opened;
  const auto replace = [&](const std::vector<std::string>& rows) {
    const auto sync = uploads->Start();
    ASSERT_OK(sync);
    UploadPage page;
    page.entity = "parts";
    page.page = 1;
    page.records = rows;
    ASSERT_OK(uploads->PutPage(*sync, page));
    ASSERT_OK(uploads->Finish(*sync));
  };
  replace({R"({"id":"a","v":1})", R"({"id":"b","v":1})", R"({"id":"c","v":1})"});
  MapDevice device = Device();
  ASSERT_TRUE(device.Start());
  std::vector<std::string> told;
  const Page first = device.Read(1);
  for (std::string& text : ToTexts(first.bytes)) told.push_back(std::move(text));
  device.Apply(first);
  device.Acknowledge({first.token});
  // The second generation has a as it was, b changed, no c, and d.
  replace({R"({"id":"a","v":1})", R"({"id":"b","v":2})", R"({"id":"d","v":2})"});
  for (std::string& text : device.Drain(1)) told.push_back(std::move(text));
  EXPECT_THAT(told,
              ElementsAre(R"(created parts/a={"id":"a","v":1})",
                          R"(created parts/b={"id":"b","v":1})",
                          R"(created parts/c={"id":"c","v":1})"))
      << "a session shows one generation";
  EXPECT_THAT(device.Sync(),
              UnorderedElementsAre(R"(updated parts/b={"id":"b","v":2})",
                                   R"(created parts/d={"id":"d","v":2})",
                                   "deleted parts/c"));
  EXPECT_EQ(device.map(), Live());
}

}  // namespace
}  // namespace tidemark
