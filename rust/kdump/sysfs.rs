// SPDX-License-Identifier: GPL-2.0

//! Directories of read-only files in sysfs, below /sys/kernel.
//!
//! A [`Dir`] owns its files and what they show. Dropping it removes the directory and waits until no reader is inside
//! a file any more; a file that is still open then only gives `ENODEV`.
//!
//! C headers: [`include/linux/kobject.h`](srctree/include/linux/kobject.h),
//! [`include/linux/sysfs.h`](srctree/include/linux/sysfs.h)

use core::{
    fmt::{self, Write},
    ptr::NonNull,
    slice,
};
use kernel::{
    bindings::{self, attribute, bin_attribute, file, kobj_attribute, kobject, loff_t},
    error::to_result,
    ffi::c_char,
    page::PAGE_SIZE,
    prelude::*,
    str::CString,
};

/// What a file of a [`Dir`] shows.
///
/// Called in process context, by several readers at once.
pub trait Show: Sync + Send {
    /// Writes the file's text, at most a page; a newline at the end is customary.
    ///
    /// # Errors
    ///
    /// What the reader gets as errno.
    fn show(&self, out: &mut dyn Write) -> Result;
}

/// What a [`Blob`] holds: text of any length.
pub trait Bytes: Sync + Send {
    /// The whole contents; must stay the same.
    ///
    /// # Errors
    ///
    /// What the reader gets as errno.
    fn bytes(&self) -> Result<&[u8]>;
}

/// `struct kobj_attribute`: a union of two signatures in 7.3, plain pointers before.
#[repr(C)]
struct Attribute {
    attr: attribute,
    show: Option<unsafe extern "C" fn(*mut kobject, *mut kobj_attribute, *mut c_char) -> isize>,
    store: Option<unsafe extern "C" fn()>,
}

const _: () = assert!(size_of::<Attribute>() == size_of::<kobj_attribute>());
const _: () =
    assert!(core::mem::align_of::<Attribute>() == core::mem::align_of::<kobj_attribute>());

/// One file, before and after it is in a [`Dir`].
#[repr(C)]
pub struct File<T> {
    // First, so that a pointer to it is a pointer to the file.
    attribute: Attribute,
    name: CString,
    data: T,
}

// SAFETY: the raw pointers point to `name` and to code; neither changes.
unsafe impl<T: Send> Send for File<T> {}
// SAFETY: as above; `data` is shared as `&T` only.
unsafe impl<T: Sync> Sync for File<T> {}

impl<T: Show> File<T> {
    /// A file called `name` with permissions `mode` (read bits only), which shows `data`.
    pub fn new(name: CString, mode: u16, data: T) -> Self {
        // With CONFIG_DEBUG_LOCK_ALLOC there are more fields.
        #[allow(clippy::needless_update)]
        let attribute = Attribute {
            attr: attribute {
                name: name.as_char_ptr(),
                mode: mode & 0o444,
                ..Default::default()
            },
            show: Some(show::<T>),
            store: None,
        };
        Self {
            attribute,
            name,
            data,
        }
    }

    /// Its name.
    pub fn name(&self) -> &CStr {
        &self.name
    }
}

/// A text in a page that counts its bytes.
struct Page<'a> {
    bytes: &'a mut [u8],
    len: usize,
}

impl Write for Page<'_> {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        let end = self.len + text.len();
        let place = self.bytes.get_mut(self.len..end).ok_or(fmt::Error)?;
        place.copy_from_slice(text.as_bytes());
        self.len = end;
        Ok(())
    }
}

/// # Safety
///
/// Only for sysfs to call, with the attribute of a [`File<T>`] and a page to write to.
unsafe extern "C" fn show<T: Show>(
    _: *mut kobject,
    attr: *mut kobj_attribute,
    page: *mut c_char,
) -> isize {
    // SAFETY: the attribute is the first field of a `File<T>`, which lives until sysfs has removed the file.
    let file = unsafe { &*attr.cast::<File<T>>() };
    // SAFETY: sysfs gives a zeroed page that nobody else uses during the call.
    let bytes = unsafe { slice::from_raw_parts_mut(page.cast::<u8>(), PAGE_SIZE) };
    let mut out = Page { bytes, len: 0 };
    match file.data.show(&mut out) {
        Ok(()) => out.len as isize,
        Err(e) => e.to_errno() as isize,
    }
}

/// A directory and its files.
///
/// # Invariants
///
/// `kobj` was made by kobject_create_and_add() and is in sysfs. All of `files` are in it, and their memory does not move.
pub struct Dir<T> {
    kobj: NonNull<kobject>,
    files: KVec<File<T>>,
}

// SAFETY: a kobject may be used from any task; the files are Send.
unsafe impl<T: Send> Send for Dir<T> {}
// SAFETY: `&Dir` allows reading the kobject pointer only.
unsafe impl<T: Sync> Sync for Dir<T> {}

impl<T: Show> Dir<T> {
    /// Makes /sys/kernel/`name` with these files.
    ///
    /// Context: process (sleeps).
    ///
    /// # Errors
    ///
    /// `EEXIST`: there is one already (the kernel logs it with a stack). `ENOMEM`. Nothing stays behind.
    pub fn under_kernel(name: &CStr, files: KVec<File<T>>) -> Result<Self> {
        // SAFETY: set once at boot, never removed.
        let parent = unsafe { bindings::kernel_kobj };
        // SAFETY: `parent` is /sys/kernel's kobject.
        unsafe { Self::create(parent, name, files) }
    }

    /// Makes the directory `name` inside of `parent`. It must be dropped before `parent` is.
    ///
    /// Context, errors: see [`Self::under_kernel`].
    pub fn inside<U>(parent: &Dir<U>, name: &CStr, files: KVec<File<T>>) -> Result<Self> {
        // SAFETY: `parent` is in sysfs (invariant).
        unsafe { Self::create(parent.kobj.as_ptr(), name, files) }
    }

    /// # Safety
    ///
    /// `parent` is a kobject in sysfs.
    unsafe fn create(parent: *mut kobject, name: &CStr, files: KVec<File<T>>) -> Result<Self> {
        // SAFETY: `parent` is one (caller); the name is copied.
        let kobj = unsafe { bindings::kobject_create_and_add(name.as_char_ptr(), parent) };
        // INVARIANT: just made. If a file cannot be added, drop() removes those that were, and the directory.
        let dir = Self {
            kobj: NonNull::new(kobj).ok_or(ENOMEM)?,
            files,
        };
        for file in &dir.files {
            // SAFETY: the kobject is in sysfs; the attribute and its name live in `dir.files`, which nobody moves or
            // changes before drop() has removed the directory.
            to_result(unsafe {
                crate::bindings::kdump_helper_sysfs_create_file(kobj, &file.attribute.attr)
            })?;
        }
        Ok(dir)
    }
}

impl<T> Drop for Dir<T> {
    fn drop(&mut self) {
        // SAFETY: made by kobject_create_and_add() and not removed yet. kobject_del() removes all files, waits for their
        // readers, and no new one can enter: `files` may be freed afterwards.
        unsafe {
            bindings::kobject_del(self.kobj.as_ptr());
            bindings::kobject_put(self.kobj.as_ptr());
        }
    }
}

#[repr(C)]
struct BlobFile<T> {
    // First, so that a pointer to it is a pointer to the file.
    attribute: bin_attribute,
    data: T,
}

/// A file that is longer than a page.
///
/// # Invariants
///
/// `kobj` holds a reference; `file` is one of its binary files.
pub struct Blob<T> {
    kobj: NonNull<kobject>,
    file: KBox<BlobFile<T>>,
}

// SAFETY: a kobject may be used from any task; the attribute's pointers point to code and to a static name.
unsafe impl<T: Send> Send for Blob<T> {}
// SAFETY: `&Blob` gives access to nothing.
unsafe impl<T: Sync> Sync for Blob<T> {}

impl<T: Bytes> Blob<T> {
    /// Adds the file `name`, `size` bytes long, to `dir`. It must be dropped before `dir` is.
    ///
    /// Context: process (sleeps).
    ///
    /// # Errors
    ///
    /// `EEXIST`, `ENOMEM`. Nothing stays behind.
    pub fn create<U>(
        dir: &Dir<U>,
        name: &'static CStr,
        mode: u16,
        size: usize,
        data: T,
    ) -> Result<Self> {
        // As in File::new().
        #[allow(clippy::needless_update)]
        let attribute = bin_attribute {
            attr: attribute {
                name: name.as_char_ptr(),
                mode: mode & 0o444,
                ..Default::default()
            },
            size,
            read: Some(read::<T>),
            ..Default::default()
        };
        let file = KBox::new(BlobFile { attribute, data }, GFP_KERNEL)?;
        let kobj = dir.kobj.as_ptr();
        // SAFETY: the directory is in sysfs; the attribute lives in a box until drop() has removed the file.
        to_result(unsafe { bindings::sysfs_create_bin_file(kobj, &file.attribute) })?;
        // SAFETY: the kobject is alive; the reference keeps it for drop().
        unsafe { bindings::kobject_get(kobj) };
        // INVARIANT: both done just now.
        Ok(Self {
            kobj: dir.kobj,
            file,
        })
    }
}

impl<T> Drop for Blob<T> {
    fn drop(&mut self) {
        // SAFETY: by the invariants. Removing waits for readers; no new one can enter.
        unsafe {
            bindings::sysfs_remove_bin_file(self.kobj.as_ptr(), &self.file.attribute);
            bindings::kobject_put(self.kobj.as_ptr());
        }
    }
}

/// # Safety
///
/// Only for sysfs to call, with the attribute of a [`BlobFile<T>`] and room for `count` bytes.
unsafe extern "C" fn read<T: Bytes>(
    _: *mut file,
    _: *mut kobject,
    attr: *const bin_attribute,
    buffer: *mut c_char,
    offset: loff_t,
    count: usize,
) -> isize {
    // SAFETY: the attribute is the first field of a `BlobFile<T>`, which lives until sysfs has removed the file.
    let blob = unsafe { &*attr.cast::<BlobFile<T>>() };
    let bytes = match blob.data.bytes() {
        Ok(bytes) => bytes,
        Err(e) => return e.to_errno() as isize,
    };
    let rest = usize::try_from(offset)
        .ok()
        .and_then(|offset| bytes.get(offset..))
        .unwrap_or_default();
    let len = rest.len().min(count);
    // SAFETY: sysfs gives room for `count` bytes; `len` is not more, and the slice has as many.
    unsafe { core::ptr::copy_nonoverlapping(rest.as_ptr(), buffer.cast::<u8>(), len) };
    len as isize
}
