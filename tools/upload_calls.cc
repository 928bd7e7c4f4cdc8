#include "tools/upload_calls.h"

#include <utility>

namespace tidemark::tools {
namespace {

class LocalUploadCalls final : public UploadCalls {
 public:
  LocalUploadCalls(std::unique_ptr<Store> store, std::unique_ptr<Uploads> uploads)
      : store_(std::move(store)), uploads_(std::move(uploads)) {}

  Result<PreparedEntity> Prepare(const std::string& entity,
                                 const EntityExpectation& expected) override {
    return PrepareEntity(*store_, entity, expected);
  }
  Status Drop(const std::string& entity) override { return store_->Drop(entity).status(); }
  Result<std::string> Start(bool force) override { return uploads_->Start(force); }
  Result<UploadPageResult> PutPage(const std::string& sync, const UploadPage& page) override {
    return uploads_->PutPage(sync, page);
  }
  Result<UploadInfo> Finish(const std::string& sync, const FinishOptions& options) override {
    return uploads_->Finish(sync, options);
  }
  Status Abort(const std::string& sync) override { return uploads_->Abort(sync); }
  Result<std::optional<std::string>> Active() override { return uploads_->active(); }
  Result<UploadInfo> Get(const std::string& sync) override { return uploads_->Get(sync); }
  Result<std::vector<UploadInfo>> List(size_t limit) override { return uploads_->List(limit); }
  Result<std::vector<UploadPageInfo>> Pages(const std::string& sync,
                                            size_t offset,
                                            size_t limit) override {
    return uploads_->Pages(sync, offset, limit);
  }
  Result<std::vector<RejectedRow>> Rejected(const std::string& sync,
                                            size_t offset,
                                            size_t limit) override {
    return uploads_->Rejected(sync, offset, limit);
  }

 private:
  const std::unique_ptr<Store> store_;  // outlives `uploads_`
  const std::unique_ptr<Uploads> uploads_;
};

}  // namespace

Result<std::unique_ptr<UploadCalls>> OpenUploadCalls(const GlobalOptions& globals, Access access) {
  if (!globals.server.empty()) return OpenRemoteUploadCalls(globals);
  TIDEMARK_ASSIGN_OR_RETURN(auto store, OpenInstance(globals, access));
  TIDEMARK_ASSIGN_OR_RETURN(auto uploads, Uploads::Open(*store));
  return std::unique_ptr<UploadCalls>(
      std::make_unique<LocalUploadCalls>(std::move(store), std::move(uploads)));
}

}  // namespace tidemark::tools
