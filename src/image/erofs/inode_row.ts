/** How inodes are numbered while an image is made. @module */

/** The row of an inode. The root's is 0, and an inode's number is its row plus 1. */
export type InodeRow = number;
