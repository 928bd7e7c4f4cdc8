# Installed, the rooms are Tidemark::format, ::db and ::replication; Tidemark::tidemark is all of
# them. Headers go to <prefix>/include/tidemark/<room>/, so that installed code includes
# "db/store.h" exactly as this tree does.

include(CMakePackageConfigHelpers)

get_property(rooms GLOBAL PROPERTY TIDEMARK_ROOMS)
if(NOT rooms)
  return()
endif()

add_library(tidemark_all INTERFACE)
add_library(Tidemark::tidemark ALIAS tidemark_all)
set_target_properties(tidemark_all PROPERTIES EXPORT_NAME tidemark)
target_link_libraries(tidemark_all INTERFACE ${rooms})

set(package_dir "${CMAKE_INSTALL_LIBDIR}/cmake/Tidemark")
install(TARGETS ${rooms} tidemark_all
        EXPORT TidemarkTargets
        ARCHIVE DESTINATION "${CMAKE_INSTALL_LIBDIR}" COMPONENT dev
        LIBRARY DESTINATION "${CMAKE_INSTALL_LIBDIR}" COMPONENT lib NAMELINK_COMPONENT dev
        FILE_SET HEADERS DESTINATION "${CMAKE_INSTALL_INCLUDEDIR}/tidemark" COMPONENT dev)
install(EXPORT TidemarkTargets NAMESPACE Tidemark:: DESTINATION "${package_dir}" COMPONENT dev)

configure_package_config_file(
  "${PROJECT_SOURCE_DIR}/cmake/TidemarkConfig.cmake.in"
  "${PROJECT_BINARY_DIR}/package/TidemarkConfig.cmake"
  INSTALL_DESTINATION "${package_dir}" NO_SET_AND_CHECK_MACRO)
# Before 1.0 a minor version may change the API: 0.2 does not satisfy a request for 0.1.
write_basic_package_version_file("${PROJECT_BINARY_DIR}/package/TidemarkConfigVersion.cmake"
                                 COMPATIBILITY SameMinorVersion)
install(FILES "${PROJECT_BINARY_DIR}/package/TidemarkConfig.cmake"
              "${PROJECT_BINARY_DIR}/package/TidemarkConfigVersion.cmake"
              "${PROJECT_SOURCE_DIR}/cmake/FindRoaring.cmake"
        DESTINATION "${package_dir}" COMPONENT dev)

# pkg-config names the libraries from the top down, as static linking wants them.
set(TIDEMARK_PC_LIBS "")
foreach(room IN LISTS rooms)
  string(PREPEND TIDEMARK_PC_LIBS "-l${room} ")
endforeach()
string(STRIP "${TIDEMARK_PC_LIBS}" TIDEMARK_PC_LIBS)
set(pc_dir "${CMAKE_INSTALL_LIBDIR}/pkgconfig")
file(RELATIVE_PATH TIDEMARK_PC_PREFIX "/${pc_dir}" "/")
cmake_path(GET TIDEMARK_PC_PREFIX PARENT_PATH TIDEMARK_PC_PREFIX)
configure_file("${PROJECT_SOURCE_DIR}/cmake/tidemark.pc.in"
               "${PROJECT_BINARY_DIR}/package/tidemark.pc" @ONLY)
install(FILES "${PROJECT_BINARY_DIR}/package/tidemark.pc"
        DESTINATION "${pc_dir}" COMPONENT dev)
