#include "server/long_work.h"

#include <utility>

namespace tidemark::server {

LongWork::~LongWork() {
  std::list<Piece> rest;
  {
    const std::lock_guard lock(mutex_);
    rest.splice(rest.end(), pieces_);  // the pieces stay where they are: their threads mark them
  }
  for (Piece& piece : rest) piece.thread.join();
}

void LongWork::Reap() {
  for (auto piece = pieces_.begin(); piece != pieces_.end();) {
    if (piece->ended) {
      piece->thread.join();  // it has nothing left to do but to let go of the lock
      piece = pieces_.erase(piece);
    } else {
      ++piece;
    }
  }
}

bool LongWork::Run(std::function<void()> work) {
  const std::lock_guard lock(mutex_);
  Reap();
  if (pieces_.size() >= kLongWorkMax) return false;
  Piece& piece = pieces_.emplace_back();
  piece.thread = std::thread([this, &piece, work = std::move(work)]() mutable {
    work();
    work = nullptr;  // what it holds is let go before it counts as ended
    const std::lock_guard ended(mutex_);
    piece.ended = true;
  });
  return true;
}

}  // namespace tidemark::server
