/** Names of files as people have them: their order, and which are no photographs. */

/**
 * Files and folders that macOS, Windows, desktop programs, downloads that were broken off and network storage leave behind;
 * hidden ones also.
 */
export const SYSTEM =
  /^(\..*|__MACOSX|Icon\r?|(eh)?thumbs(_vista)?\.db(:.*)?|desktop\.ini|.*:Zone\.Identifier|@eaDir|@Recycle|@tmp|#recycle|#snapshot|lost\+found|zbthumbnail\.info|pspbrwse\.jbf|sync\.ffs_(db|lock)|.*~|~\$.*|.*\.(part|partial|crdownload|opdownload|download|aria2|!ut|tmp|temp|bak|swp|ffs_tmp)|\$RECYCLE\.BIN|System Volume Information)$/i;

/** Files that describe photographs. */
export const LIST =
  /(\.(txt|csv|tsv|json|xml|ya?ml|md|rst|html?|log|ini|db|lnk|url|mat|pts|rtf|nfo|xmp|aae|pp3|pamp|sfv|md5|sha\d+)|^(readme|licen[cs]e|copying|notice|changelog|authors))$/i;

/** Compares two names by the composed form, so that a folder that was copied from a Mac keeps its order. */
export function byName(a: string, b: string): number {
  const [first, second] = [a.normalize('NFC'), b.normalize('NFC')];
  if (first !== second) return first < second ? -1 : 1;
  return a < b ? -1 : Number(a > b);
}
