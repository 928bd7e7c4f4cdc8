# CRoaring as Roaring::roaring. Distributions ship it without a pkg-config file, and some with a
# package file that does not load.

find_path(ROARING_INCLUDE_DIR roaring/roaring.h)
find_library(ROARING_LIBRARY roaring)
mark_as_advanced(ROARING_INCLUDE_DIR ROARING_LIBRARY)

include(FindPackageHandleStandardArgs)
find_package_handle_standard_args(Roaring REQUIRED_VARS ROARING_LIBRARY ROARING_INCLUDE_DIR)

if(Roaring_FOUND AND NOT TARGET Roaring::roaring)
  add_library(Roaring::roaring UNKNOWN IMPORTED)
  set_target_properties(Roaring::roaring PROPERTIES
                        IMPORTED_LOCATION "${ROARING_LIBRARY}"
                        INTERFACE_INCLUDE_DIRECTORIES "${ROARING_INCLUDE_DIR}")
endif()
