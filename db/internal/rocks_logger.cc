#include "db/internal/rocks_logger.h"

#include <cstdarg>

namespace tidemark::internal {
namespace {

class SilentLogger final : public rocksdb::Logger {
 public:
  SilentLogger() : Logger(rocksdb::InfoLogLevel::FATAL_LEVEL) {}
  using rocksdb::Logger::Logv;
  void Logv(const char* /*format*/, va_list /*arguments*/) override {}
  void LogHeader(const char* /*format*/, va_list /*arguments*/) override {}
};

}  // namespace

std::shared_ptr<rocksdb::Logger> NewSilentLogger() {
  return std::make_shared<SilentLogger>();
}

}  // namespace tidemark::internal
