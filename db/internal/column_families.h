// The column families of a store: their names, their options, and their handles.
//
//   default              rows: of the store itself, and of upper layers
//   fold                 the mark of the last fold, and liveness as of it
//   stage                staged pages of upload syncs
//   parts                which rows of the logs concern which values of declared keys
//   l.<entity>           the log of an entity: first sequence -> segment
//   i.<entity>.<gen>     the index of a generation: id -> entry
#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include <rocksdb/db.h>
#include <rocksdb/options.h>

#include "db/entity.h"
#include "db/options.h"
#include "db/runtime.h"
#include "format/status.h"

namespace tidemark::internal {

class SegmentFilterFactory;

inline const std::string kFoldFamily = "fold";
inline const std::string kStageFamily = "stage";
inline const std::string kPartsFamily = "parts";

std::string LogFamilyName(EntityNumber entity);
std::string IndexFamilyName(EntityNumber entity, uint64_t generation);
/// False when the name is not of this form.
bool ParseLogFamilyName(const std::string& name, EntityNumber* entity);
bool ParseIndexFamilyName(const std::string& name, EntityNumber* entity, uint64_t* generation);

rocksdb::DBOptions MakeDbOptions(const StoreOptions& options, Runtime& runtime);
rocksdb::ColumnFamilyOptions MakeRowOptions(Runtime& runtime);
rocksdb::ColumnFamilyOptions MakePartOptions(
    Runtime& runtime, std::shared_ptr<rocksdb::CompactionFilterFactory> filter);
rocksdb::ColumnFamilyOptions MakeIndexOptions(
    Runtime& runtime, std::shared_ptr<rocksdb::CompactionFilterFactory> filter = nullptr);
rocksdb::ColumnFamilyOptions MakeLogOptions(
    Runtime& runtime, std::shared_ptr<rocksdb::CompactionFilterFactory> filter);

/// A handle that closes itself. The database must outlive it.
using Family = std::shared_ptr<rocksdb::ColumnFamilyHandle>;
Family WrapFamily(rocksdb::DB* db, rocksdb::ColumnFamilyHandle* handle);

}  // namespace tidemark::internal
