// `If-Match` and `If-None-Match`: conditions on the version of a record, whose entity tag is its
// version in quotes.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "format/sequence.h"
#include "format/status.h"
#include "http/message.h"

namespace tidemark::server {

std::string EntityTag(SequenceNumber version);

/// The conditions of a request. A record that is not there has no version.
class TagConditions {
 public:
  /// `kInvalidArgument` names the header that is malformed.
  static Result<TagConditions> Read(const http::Request& request);

  bool empty() const { return !match_ && !none_match_; }
  /// `If-Match` holds, or there is none.
  bool Matches(const std::optional<SequenceNumber>& version) const;
  /// `If-None-Match` holds, or there is none.
  bool NoneMatches(const std::optional<SequenceNumber>& version) const;

 private:
  struct Tags {
    bool any = false;                 // `*`
    std::vector<std::string> strong;  // with their quotes
    std::vector<std::string> weak;
  };
  static Result<Tags> Parse(std::string_view name, std::string_view text);

  std::optional<Tags> match_;
  std::optional<Tags> none_match_;
};

}  // namespace tidemark::server
