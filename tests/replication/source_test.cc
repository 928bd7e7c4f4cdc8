// Limits, typed answers, expiry, witnesses and what operators are told.
#include <string>
#include <vector>

#include "replication/internal/device.h"
#include "tests/replication/source_fixture.h"

namespace tidemark {
namespace {

using test::IsDrained;
using test::MapDevice;
using test::StatusIs;
using ::testing::ElementsAre;
using ::testing::IsEmpty;
using ::testing::SizeIs;

class SourceTest : public test::SourceTest {};

TEST_F(SourceTest, NothingOwedIsNoSession) {
  MapDevice device = Device();
  EXPECT_FALSE(device.Start());
  Put("users", "1", "a");
  EXPECT_THAT(device.Sync(), ElementsAre("created users/1=a"));
  EXPECT_FALSE(device.Start());
  Put("users", "1", "b");
  EXPECT_THAT(device.Sync(), ElementsAre("updated users/1=b"));
}

TEST_F(SourceTest, DeviceIdsHaveOneTo128Bytes) {
  Put("users", "1", "a");
  EXPECT_OK(source_->StartSession({.device = std::string(128, 'd')}));
  EXPECT_THAT(source_->StartSession({.device = std::string(129, 'd')}),
              StatusIs(ErrorCode::kInvalidArgument));
  EXPECT_THAT(source_->StartSession({.device = ""}), StatusIs(ErrorCode::kInvalidArgument));
  EXPECT_THAT(source_->Select(std::string(129, 'd'), {}), StatusIs(ErrorCode::kInvalidArgument));
  EXPECT_THAT(source_->ListDevices(), SizeIs(1));
}

TEST_F(SourceTest, PagesHaveOneToAThousandRecords) {
  WriteBatch batch;
  for (int i = 0; i < 1001; ++i) batch.Put("users", std::to_string(i), "x");
  ASSERT_OK(store_->Commit(batch));
  MapDevice device = Device();
  ASSERT_TRUE(device.Start());
  EXPECT_EQ(device.session().owed, 1001U);
  EXPECT_EQ(device.session().pages, 11U);
  EXPECT_THAT(device.Next(0), StatusIs(ErrorCode::kInvalidArgument));
  EXPECT_THAT(device.Next(1001), StatusIs(ErrorCode::kInvalidArgument));
  EXPECT_EQ(device.Read(1000).left, 1U);
  EXPECT_EQ(device.Read(1).left, 0U);
  EXPECT_THAT(device.Next(1), IsDrained());
}

TEST_F(SourceTest, BytesEndAPageButNeverEmptyIt) {
  for (int i = 0; i < 3; ++i) Put("users", std::to_string(i), std::string(600, 'x'));
  MapDevice device = Device();
  ASSERT_TRUE(device.Start());
  for (int i = 0; i < 3; ++i) {
    const auto page =
        source_->NextPage(device.session().id, {.bytes_max = i == 1 ? size_t{1} : size_t{1000}});
    ASSERT_OK(page);
    EXPECT_EQ((*page)->records, 1U);
  }
  EXPECT_THAT(source_->NextPage(device.session().id, {.bytes_max = 0}),
              StatusIs(ErrorCode::kInvalidArgument));
}

TEST_F(SourceTest, TenThousandKeysAtATime) {
  Put("users", "1", "a");
  MapDevice device = Device();
  ASSERT_TRUE(device.Start());
  std::vector<std::string> keys(10'000, "forged");
  const AckResult result = device.Acknowledge(keys);
  EXPECT_EQ(result.ignored, 10'000U);
  EXPECT_THAT(result.reasons, SizeIs(100));
  keys.push_back(device.Read().token);
  EXPECT_THAT(source_->Acknowledge("tablet", keys), StatusIs(ErrorCode::kTooLarge));
  EXPECT_EQ(source_->GetDevice("tablet")->unacknowledged, 1U);
}

TEST_F(SourceTest, KeysWithAnyByteChangedAreIgnored) {
  Put("users", "1", "a");
  MapDevice device = Device();
  ASSERT_TRUE(device.Start());
  const Page page = device.Read();
  for (const std::string& key : {page.token, device.Keys(page).front()}) {
    for (size_t i = 0; i < key.size(); ++i) {
      std::string forged = key;
      forged[i] = forged[i] == 'A' ? 'B' : 'A';
      EXPECT_EQ(device.Acknowledge({forged}).ignored, 1U) << "byte " << i;
      EXPECT_EQ(device.Acknowledge({key.substr(0, i)}).ignored, 1U);
    }
  }
  EXPECT_EQ(source_->GetDevice("tablet")->unacknowledged, 1U);
  EXPECT_EQ(device.Acknowledge({page.token}).applied, 1U);
}

TEST_F(SourceTest, OlderSessionsAnswerSupersededAndUnknownOnesNotFound) {
  Put("users", "1", "a");
  MapDevice device = Device();
  ASSERT_TRUE(device.Start());
  const std::string older = device.session().id;
  ASSERT_TRUE(device.Start());
  EXPECT_THAT(source_->NextPage(older), StatusIs(ErrorCode::kSuperseded));
  EXPECT_THAT(source_->NextPage("no session"), StatusIs(ErrorCode::kNotFound));
  EXPECT_THAT(source_->NextPage(device.Read().token), StatusIs(ErrorCode::kNotFound))
      << "a page token names no session";
  ASSERT_OK(source_->Reset("tablet"));
  EXPECT_THAT(device.Next(), StatusIs(ErrorCode::kSessionExpired));
}

TEST_F(SourceTest, IdleSessionsExpire) {
  Put("users", "1", "a");
  Put("users", "2", "b");
  MapDevice device = Device();
  ASSERT_TRUE(device.Start());
  clock_->Advance(std::chrono::minutes(15));
  const Page page = device.Read(1);
  device.Apply(page);
  clock_->Advance(std::chrono::minutes(15));
  EXPECT_TRUE(source_->GetDevice("tablet")->session_open);
  clock_->Advance(std::chrono::milliseconds(1));
  EXPECT_FALSE(source_->GetDevice("tablet")->session_open);
  EXPECT_THAT(device.Next(), StatusIs(ErrorCode::kSessionExpired));
  EXPECT_EQ(device.Acknowledge({page.token}).applied, 1U) << "its pages still count";
  EXPECT_THAT(device.Sync(), ElementsAre("created users/2=b"));
}

TEST_F(SourceTest, ExpiredSessionsPinNothing) {
  Put("users", "1", "a");
  MapDevice device = Device();
  ASSERT_TRUE(device.Start());
  Delete("users", "1");
  EXPECT_OK(source_->Purge());
  EXPECT_EQ(Tombstones(), 1U) << "its view still holds an unserved version";
  clock_->Advance(std::chrono::hours(1));
  EXPECT_OK(source_->Purge());
  EXPECT_EQ(Tombstones(), 0U);
  EXPECT_EQ(store_->pinned_deaths(), 0U);
}

TEST_F(SourceTest, TooManyPinnedDeathsExpireTheOldestSession) {
  source_options_.pinned_deaths_max = 3;
  OpenSource();
  for (int i = 0; i < 8; ++i) Put("users", std::to_string(i), "x");
  MapDevice slow = Device("slow");
  ASSERT_TRUE(slow.Start());
  for (int i = 0; i < 5; ++i) Put("users", std::to_string(i), "y");
  MapDevice other = Device("other");
  ASSERT_TRUE(other.Start());
  EXPECT_THAT(slow.Next(), StatusIs(ErrorCode::kSessionExpired));
  EXPECT_THAT(other.Drain(), SizeIs(8));
  EXPECT_THAT(slow.Sync(), SizeIs(8));
}

TEST_F(SourceTest, EveryWorkerOfADrainedSessionIsToldSo) {
  Put("users", "1", "a");
  MapDevice device = Device();
  ASSERT_TRUE(device.Start());
  const Page page = device.Read();
  for (int worker = 0; worker < 3; ++worker) {
    EXPECT_THAT(device.Next(), IsDrained());
  }
  device.Apply(page);
  device.Acknowledge({page.token});
  EXPECT_THAT(device.Next(), IsDrained()) << "also once it has settled";
}

TEST_F(SourceTest, ANewEpochResetsAPlainDeviceOnly) {
  Put("users", "1", "a");
  MapDevice plain = Device("plain");
  plain.Sync();
  Hello native{.device = "native", .incarnation = "0123456789abcdef"};
  auto session = source_->StartSession(native);
  ASSERT_OK(session);
  const auto page = source_->NextPage((*session)->id);
  ASSERT_OK(page);
  ASSERT_OK(source_->Acknowledge("native", {(*page)->token}));
  native.position = (*page)->token;

  ASSERT_OK(store_->BeginEpoch("test"));
  Put("users", "2", "b");
  ASSERT_TRUE(plain.Start());
  EXPECT_TRUE(plain.session().reset);
  EXPECT_EQ(plain.session().owed, 2U);
  session = source_->StartSession(native);
  ASSERT_OK(session);
  EXPECT_FALSE((*session)->reset) << "it shows a position at the branch";
  EXPECT_EQ((*session)->owed, 1U);
}

TEST_F(SourceTest, ANativeDeviceThatSawTheLostFutureIsReset) {
  Put("users", "1", "a");
  Hello hello{.device = "native", .incarnation = "0123456789abcdef"};
  const auto first = source_->StartSession(hello);
  ASSERT_OK(first);
  const auto page = source_->NextPage((*first)->id);
  ASSERT_OK(page);
  hello.position = (*page)->token;
  // Handed out, never acknowledged: what the device has is not what its marks say.
  ASSERT_OK(store_->BeginEpoch("test"));
  const auto second = source_->StartSession(hello);
  ASSERT_OK(second);
  EXPECT_TRUE((*second)->reset);
  EXPECT_GT((*second)->number, (*first)->number + 1000) << "its lost sessions might be numbered so";
}

TEST_F(SourceTest, AnotherIncarnationOrAnOlderPositionIsReset) {
  Put("users", "1", "a");
  Hello hello{.device = "native", .incarnation = "0123456789abcdef"};
  const auto sync = [&]() -> std::optional<SessionInfo> {
    const auto session = source_->StartSession(hello);
    EXPECT_OK(session);
    if (!session->has_value()) return std::nullopt;
    const auto page = source_->NextPage((*session)->id);
    EXPECT_OK(page);
    EXPECT_OK(source_->Acknowledge("native", {(*page)->token}));
    hello.position = (*page)->token;
    return **session;
  };
  sync();
  const Hello backup = hello;
  Put("users", "2", "b");
  EXPECT_FALSE(sync()->reset);
  hello = backup;  // case 17: the device was restored from its own backup
  EXPECT_TRUE(sync()->reset);
  EXPECT_FALSE(sync().has_value());
  hello.incarnation = "fedcba9876543210";  // case 18: wiped
  EXPECT_TRUE(sync()->reset);
}

TEST_F(SourceTest, SelectionsMayNameWhatDoesNotExistYet) {
  ASSERT_OK(source_->Select("tablet", SelectionRule::Entities({"later"})));
  Put("users", "1", "a");
  MapDevice device = Device();
  EXPECT_FALSE(device.Start());
  Put("later", "1", "x");
  EXPECT_THAT(device.Sync(), ElementsAre("created later/1=x"));
  const auto info = source_->GetDevice("tablet");
  EXPECT_EQ(info->rule, SelectionRule::Entities({"later"}));
  EXPECT_THAT(source_->Select("tablet", SelectionRule::Entities({""})),
              StatusIs(ErrorCode::kInvalidArgument));
  EXPECT_THAT(
      source_->Select("tablet", SelectionRule::Entities(std::vector<std::string>(4097, "x"))),
      StatusIs(ErrorCode::kTooLarge));
}

TEST_F(SourceTest, UnknownDevicesAreNotFound) {
  EXPECT_THAT(source_->GetDevice("nobody"), StatusIs(ErrorCode::kNotFound));
  EXPECT_THAT(source_->Reset("nobody"), StatusIs(ErrorCode::kNotFound));
  EXPECT_THAT(source_->Forget("nobody"), StatusIs(ErrorCode::kNotFound));
  EXPECT_THAT(source_->ListDevices(), IsEmpty());
}

TEST_F(SourceTest, OperatorsSeeHowADeviceStands) {
  for (int i = 0; i < 4; ++i) Put("users", std::to_string(i), "x");
  MapDevice device = Device();
  device.Sync();
  Delete("users", "0");
  Put("users", "1", "y");
  DeviceInfo info = *source_->GetDevice("tablet");
  EXPECT_EQ(info.owed, 2U);
  EXPECT_EQ(info.holding, 1U);
  EXPECT_TRUE(info.at_rest);
  ASSERT_TRUE(device.Start());
  device.Read(1);
  info = *source_->GetDevice("tablet");
  EXPECT_EQ(info.sessions, device.session().number);
  EXPECT_EQ(info.owed, 2U);
  EXPECT_EQ(info.unacknowledged, 1U);
  EXPECT_TRUE(info.session_open);
  EXPECT_FALSE(info.at_rest);
  ASSERT_OK(source_->Reset("tablet"));
  info = *source_->GetDevice("tablet");
  EXPECT_TRUE(info.reset_pending);
  EXPECT_EQ(info.owed, 3U);
  EXPECT_EQ(info.holding, 0U);
  EXPECT_FALSE(info.session_open);
}

TEST_F(SourceTest, AResetThatIsCutShortBeginsAgain) {
  for (int i = 0; i < 3; ++i) Put("users", std::to_string(i), "x");
  MapDevice device = Device();
  device.Sync();
  ASSERT_OK(source_->Reset("tablet"));
  ASSERT_TRUE(device.Start());
  const Page page = device.Read(1);
  device.Acknowledge({page.token});
  Delete("users", "0");
  ASSERT_TRUE(device.Start());
  EXPECT_TRUE(device.session().reset);
  EXPECT_THAT(device.Drain(), ElementsAre("created users/1=x", "created users/2=x"));
  EXPECT_EQ(device.map(), Live());
  EXPECT_FALSE(device.Start());
}

TEST_F(SourceTest, DevicesAreBounded) {
  WriteBatch rows;
  for (uint32_t number = 1; number < kDevicesMax; ++number) {
    DeviceDescriptor descriptor;
    descriptor.id = "d" + std::to_string(number);
    descriptor.number = number;
    rows.SetRow(DescriptorKey(descriptor.id), EncodeDescriptor(descriptor));
  }
  ASSERT_OK(store_->Commit(rows));
  OpenSource();
  EXPECT_OK(source_->StartSession({.device = "the last"}));
  EXPECT_THAT(source_->StartSession({.device = "one more"}), StatusIs(ErrorCode::kTooLarge));
  EXPECT_THAT(source_->Select("one more", SelectionRule::Entities({})),
              StatusIs(ErrorCode::kTooLarge));
  EXPECT_OK(source_->StartSession({.device = "d7"}));
  ASSERT_OK(source_->Forget("d1"));
  EXPECT_OK(source_->StartSession({.device = "one more"}));
  EXPECT_THAT(source_->StartSession({.device = "yet another"}), StatusIs(ErrorCode::kTooLarge));
}

}  // namespace
}  // namespace tidemark
