#include "bench/served_engine.h"

#include <string>

namespace tidemark::bench {

ServedEngine::ServedEngine(const std::filesystem::path& directory,
                           Syncing syncing,
                           size_t block_cache_bytes)
    : EngineStore(directory, syncing, block_cache_bytes),
      source_(Require(Source::Open(store()), "open a source")) {}

Drained ServedEngine::Drain(std::string_view device) {
  Drained drained;
  const std::string name(device);
  const auto session = Require(source_->StartSession({.device = name}), "start a session");
  if (!session.has_value()) return drained;
  const PageOptions options{.records_max = kPageRecords};
  while (auto page = Require(source_->NextPage(session->id, options), "serve a page")) {
    drained.records += page->records;
    drained.bytes += page->bytes.size();
    Require(source_->Acknowledge(name, {page->token}).status(), "acknowledge");
  }
  return drained;
}

}  // namespace tidemark::bench
