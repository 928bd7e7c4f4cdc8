#include "server/accept.h"

#include <string_view>
#include <vector>

#include <gtest/gtest.h>

namespace tidemark::server {
namespace {

bool Asks(const std::vector<std::string_view>& accept) {
  http::Headers headers;
  for (const std::string_view value : accept) headers.Add("aCCEPT", value);
  return Prefers(headers, "application/vnd.tidemark.batch", "application/json");
}

TEST(AcceptTest, NamedInAnyCaseAndPlace) {
  EXPECT_TRUE(Asks({"application/vnd.tidemark.batch"}));
  EXPECT_TRUE(Asks({"Application/VND.Tidemark.Batch"}));
  EXPECT_TRUE(Asks({"text/html , application/vnd.tidemark.batch ;q=0.3, */*"}));
  EXPECT_TRUE(Asks({"text/html", "application/vnd.tidemark.batch"}));
  EXPECT_TRUE(Asks({"application/json,application/vnd.tidemark.batch"}));
  EXPECT_TRUE(Asks({"application/vnd.tidemark.batch;v=1;Q=1.000"}));
}

TEST(AcceptTest, WhoDoesNotNameItGetsTheUsual) {
  EXPECT_FALSE(Asks({}));
  EXPECT_FALSE(Asks({""}));
  EXPECT_FALSE(Asks({"*/*"}));
  EXPECT_FALSE(Asks({"application/*"}));
  EXPECT_FALSE(Asks({"application/vnd.tidemark.batches"}));
  EXPECT_FALSE(Asks({"xapplication/vnd.tidemark.batch"}));
}

TEST(AcceptTest, WeightsDecide) {
  EXPECT_FALSE(Asks({"application/vnd.tidemark.batch;q=0"}));
  EXPECT_FALSE(Asks({"application/vnd.tidemark.batch; q=0.000"}));
  EXPECT_FALSE(Asks({"application/vnd.tidemark.batch;q=0.5, application/json"}));
  EXPECT_TRUE(Asks({"application/vnd.tidemark.batch;q=0.5, application/json;q=0.4"}));
  EXPECT_FALSE(Asks({"application/vnd.tidemark.batch;q=x"}));
  EXPECT_FALSE(Asks({"application/vnd.tidemark.batch;q=2"}));
}

}  // namespace
}  // namespace tidemark::server
