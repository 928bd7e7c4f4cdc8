#include "replication/bundle.h"

#include "replication/internal/bundle_file.h"

namespace tidemark {

std::string_view BundleDirectionName(BundleDirection direction) {
  switch (direction) {
    case BundleDirection::kPull:
      return "pull";
    case BundleDirection::kPush:
      return "push";
    case BundleDirection::kAnswers:
      return "answers";
  }
  return "";
}

Result<BundleReport> InspectBundle(const std::filesystem::path& path) {
  TIDEMARK_ASSIGN_OR_RETURN(const auto reader, internal::BundleReader::Open(path));
  BundleReport report{.header = reader->header(), .totals = {}, .soundness = {}};
  while (report.soundness.ok()) {
    const auto frame = reader->Next();
    report.soundness = frame.status();
    if (frame.ok() && !frame->has_value()) break;
  }
  report.totals = reader->totals();
  return report;
}

}  // namespace tidemark
