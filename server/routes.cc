#include "server/routes.h"

#include <iterator>

#include "server/change_routes.h"
#include "server/device_routes.h"
#include "server/entity_routes.h"
#include "server/feed_routes.h"
#include "server/id_pool_routes.h"
#include "server/operation_routes.h"
#include "server/overview_routes.h"
#include "server/push_routes.h"
#include "server/queue_routes.h"
#include "server/record_routes.h"
#include "server/sell_routes.h"
#include "server/sync_routes.h"
#include "server/upload_routes.h"

namespace tidemark::server {
namespace {

void Append(std::vector<Route>* routes, std::vector<Route> more) {
  routes->insert(
      routes->end(), std::make_move_iterator(more.begin()), std::make_move_iterator(more.end()));
}

}  // namespace

std::vector<Route> AllRoutes() {
  std::vector<Route> routes = SellRoutes();
  Append(&routes, ChangeRoutes());
  Append(&routes, RecordRoutes());
  Append(&routes, EntityRoutes());
  Append(&routes, UploadRoutes());
  Append(&routes, FeedRoutes());
  Append(&routes, DeviceRoutes());
  Append(&routes, IdPoolRoutes());
  Append(&routes, PushRoutes());
  Append(&routes, QueueRoutes());
  Append(&routes, SyncRoutes());
  Append(&routes, OperationRoutes());
  Append(&routes, OverviewRoutes());
  Append(&routes, PageRoutes());
  return routes;
}

}  // namespace tidemark::server
