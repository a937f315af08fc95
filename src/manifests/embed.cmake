# Writes OUT, a C++ source where FUNCTION gives the files FILES of FOLDER as text. Run at build time, so that a changed
# manifest is a changed program.
set(text "// Made from ${FOLDER}.\n#include <array>\n\n#include \"manifests/manifest_text.h\"\n\nnamespace enclayer::manifests {\n\n")
list(LENGTH FILES count)
string(APPEND text "std::span<const ManifestFile> ${FUNCTION}() {\n  static constexpr std::array<ManifestFile, ${count}> kFiles = {{\n")
foreach(file ${FILES})
  file(READ ${FOLDER}/${file} content)
  string(APPEND text "      {\"${file}\", R\"manifest(${content})manifest\"},\n")
endforeach()
string(APPEND text "  }};\n  return kFiles;\n}\n\n}  // namespace enclayer::manifests\n")
file(WRITE ${OUT} "${text}")
