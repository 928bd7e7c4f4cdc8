#!/usr/bin/env bash
# Installs a build into a prefix of its own, moves that prefix, and builds and runs a program outside
# the tree against it: once through find_package, once through pkg-config.
# usage: install_test.sh CMAKE BUILD_DIR COMPILER LIBDIR
set -euo pipefail

cmake=$1 build=$2 compiler=$3 libdir=$4
source_dir=$(cd "$(dirname "$0")" && pwd)
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

step() { echo "--- $*"; }

step "install"
"$cmake" --install "$build" --component dev --prefix "$work/first" >"$work/install.log"
# An installed package must not remember where it was put.
mv "$work/first" "$work/prefix"
cp -r "$source_dir/consumer" "$work/consumer"

step "find_package"
"$cmake" -S "$work/consumer" -B "$work/build" -DCMAKE_BUILD_TYPE=Debug \
  -DCMAKE_CXX_COMPILER="$compiler" -DCMAKE_PREFIX_PATH="$work/prefix" >"$work/configure.log" ||
  { cat "$work/configure.log"; exit 1; }
"$cmake" --build "$work/build"
"$work/build/consumer" "$work/store-cmake"

step "pkg-config"
export PKG_CONFIG_PATH=$work/prefix/$libdir/pkgconfig
read -ra flags <<<"$(pkg-config --cflags --libs --static tidemark)"
"$compiler" -std=c++20 "$work/consumer/consumer.cc" "${flags[@]}" -o "$work/consumer-pc"
"$work/consumer-pc" "$work/store-pc"
