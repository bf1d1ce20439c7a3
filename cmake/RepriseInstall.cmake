# `cmake --install`: two static libraries made of the objects of all that they need, so that users link one name and see
# none of our folders. Component "program" is the program, "development" the libraries, headers and what finds them:
#
#   reprise::client   submits to a server; needs no actors and no stores      libreprise-client.a  reprise-client.pc
#   reprise::reprise  engines in the process and workers, on top of that      libreprise.a         reprise.pc
#   reprise::worker   another name for reprise::reprise
include(GNUInstallDirs)
include(CMakePackageConfigHelpers)

# Of a target and all that it links: our static libraries, and the names of others'.
function(reprise_collect target ours others)
  set(all_ours ${${ours}})
  set(all_others ${${others}})
  get_target_property(real ${target} ALIASED_TARGET)
  if(NOT real)
    set(real ${target})
  endif()
  if(real IN_LIST all_ours)
    return()
  endif()
  get_target_property(type ${real} TYPE)
  if(type STREQUAL "STATIC_LIBRARY")
    list(APPEND all_ours ${real})
  endif()
  get_target_property(links ${real} LINK_LIBRARIES)
  if(NOT links)
    set(links "")
  endif()
  foreach(item IN LISTS links)
    if(item MATCHES "^\\$<LINK_ONLY:(.*)>$")
      set(item ${CMAKE_MATCH_1})
    endif()
    if(item MATCHES "^reprise(::|_)" AND TARGET ${item})
      reprise_collect(${item} all_ours all_others)
    elseif(NOT item MATCHES "^::@")
      list(APPEND all_others ${item})
    endif()
  endforeach()
  list(REMOVE_DUPLICATES all_others)
  set(${ours} ${all_ours} PARENT_SCOPE)
  set(${others} ${all_others} PARENT_SCOPE)
endfunction()

# Only headers: nobody who links us needs them.
set(reprise_header_only nlohmann_json::nlohmann_json CLI11::CLI11 tl::expected msgpackc-cxx spdlog::spdlog)

set(client_parts "")
set(client_links "")
reprise_collect(reprise_api_client client_parts client_links)
set(whole_parts "")
set(whole_links "")
foreach(target reprise_api reprise_api_worker)
  reprise_collect(${target} whole_parts whole_links)
endforeach()
list(REMOVE_ITEM whole_parts ${client_parts})
list(REMOVE_ITEM client_links ${reprise_header_only})
list(REMOVE_ITEM whole_links ${reprise_header_only} ${client_links})

function(reprise_archive name output parts)
  set(objects "")
  foreach(part IN LISTS ${parts})
    list(APPEND objects $<TARGET_OBJECTS:${part}>)
  endforeach()
  add_library(${name} STATIC ${objects})
  set_target_properties(${name} PROPERTIES OUTPUT_NAME ${output} LINKER_LANGUAGE CXX)
endfunction()

reprise_archive(reprise_client_archive reprise-client client_parts)
target_link_libraries(reprise_client_archive PUBLIC reprise::headers PRIVATE ${client_links})
set_target_properties(reprise_client_archive PROPERTIES EXPORT_NAME client)
reprise_archive(reprise_archive reprise whole_parts)
target_link_libraries(reprise_archive PUBLIC reprise_client_archive PRIVATE ${whole_links})
set_target_properties(reprise_archive PROPERTIES EXPORT_NAME reprise)

set(package_folder ${CMAKE_INSTALL_LIBDIR}/cmake/reprise)
install(TARGETS reprise RUNTIME DESTINATION ${CMAKE_INSTALL_BINDIR} COMPONENT program)
install(FILES configs/reprise.toml DESTINATION ${CMAKE_INSTALL_DOCDIR} COMPONENT program)
foreach(unit reprise-server reprise-worker)
  configure_file(configs/systemd/${unit}.service.in systemd/${unit}.service @ONLY)
  install(FILES ${CMAKE_CURRENT_BINARY_DIR}/systemd/${unit}.service DESTINATION lib/systemd/system COMPONENT program)
endforeach()
install(TARGETS reprise_headers reprise_client_archive EXPORT repriseClientTargets
  ARCHIVE DESTINATION ${CMAKE_INSTALL_LIBDIR} COMPONENT development
  FILE_SET HEADERS DESTINATION ${CMAKE_INSTALL_INCLUDEDIR} COMPONENT development)
install(TARGETS reprise_archive EXPORT repriseTargets
  ARCHIVE DESTINATION ${CMAKE_INSTALL_LIBDIR} COMPONENT development)
install(EXPORT repriseClientTargets NAMESPACE reprise:: DESTINATION ${package_folder} COMPONENT development)
install(EXPORT repriseTargets NAMESPACE reprise:: DESTINATION ${package_folder} COMPONENT development)

configure_package_config_file(cmake/repriseConfig.cmake.in ${CMAKE_CURRENT_BINARY_DIR}/repriseConfig.cmake
  INSTALL_DESTINATION ${package_folder})
write_basic_package_version_file(${CMAKE_CURRENT_BINARY_DIR}/repriseConfigVersion.cmake COMPATIBILITY SameMinorVersion)
install(FILES ${CMAKE_CURRENT_BINARY_DIR}/repriseConfig.cmake ${CMAKE_CURRENT_BINARY_DIR}/repriseConfigVersion.cmake
  cmake/FindCAF.cmake cmake/FindHiredis.cmake
  DESTINATION ${package_folder} COMPONENT development)

# Static libraries only, so what they need is in Requires and Libs and not in their private forms.
foreach(package reprise-client reprise)
  configure_file(cmake/${package}.pc.in ${package}.pc @ONLY)
  install(FILES ${CMAKE_CURRENT_BINARY_DIR}/${package}.pc DESTINATION ${CMAKE_INSTALL_LIBDIR}/pkgconfig COMPONENT development)
endforeach()
