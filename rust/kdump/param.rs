// SPDX-License-Identifier: GPL-2.0

//! Module parameters that `kernel::module!` does not know: strings, and integers with limits, readable in sysfs.
//!
//! ```ignore
//! kdump::module_params! {
//!     /// Where to crash.
//!     static CPOINT_NAME: charp = "cpoint_name", 0o444, "crash point";
//!     /// When.
//!     static CPOINT_COUNT: int(1, i32::MAX, 10) = "cpoint_count", 0o644, "crash on the N-th hit";
//! }
//! ```
//!
//! C header: [`include/linux/moduleparam.h`](srctree/include/linux/moduleparam.h)

use core::{
    ptr::null_mut,
    sync::atomic::{AtomicI32, AtomicPtr, Ordering::Relaxed},
};
use kernel::{
    bindings::{self, kernel_param, kernel_param_ops},
    error::from_result,
    ffi::{c_char, c_int},
    prelude::*,
    str::{parse_int::ParseInt, BStr},
};

#[doc(hidden)]
pub use kernel::module_param::KernelParam;

/// A string parameter (`charp`). Only for permissions without write bits: the text lives as long as the module.
#[repr(transparent)]
pub struct StrParam(AtomicPtr<c_char>);

impl StrParam {
    /// `const` constructor for [`module_params!`](crate::module_params); not given on the command line.
    #[doc(hidden)]
    pub const fn new() -> Self {
        Self(AtomicPtr::new(null_mut()))
    }

    /// The text given when the module was loaded.
    pub fn get(&'static self) -> Option<&'static CStr> {
        let text = self.0.load(Relaxed);
        // SAFETY: param_set_charp() stored a NUL-terminated string; the parameter is not writable, so the string stays
        // until the kernel frees it after the module's exit.
        (!text.is_null()).then(|| unsafe { CStr::from_char_ptr(text) })
    }

    #[doc(hidden)]
    pub const fn ops(&self) -> *const kernel_param_ops {
        &raw const bindings::param_ops_charp
    }
}

/// An integer parameter that refuses values outside of `min..=max`.
pub struct IntParam {
    value: AtomicI32,
    min: i32,
    max: i32,
}

impl IntParam {
    /// `const` constructor for [`module_params!`](crate::module_params).
    #[doc(hidden)]
    pub const fn new(min: i32, max: i32, default: i32) -> Self {
        Self {
            value: AtomicI32::new(default),
            min,
            max,
        }
    }

    /// The value now; may change at any time if the parameter is writable.
    pub fn get(&self) -> i32 {
        self.value.load(Relaxed)
    }

    #[doc(hidden)]
    pub const fn ops(&self) -> *const kernel_param_ops {
        const OPS: &kernel_param_ops = &kernel_param_ops {
            flags: 0,
            set: Some(IntParam::set),
            get: Some(IntParam::show),
            free: None,
        };
        OPS
    }

    /// # Safety
    ///
    /// Only for the kernel to call, with a parameter that [`module_params!`](crate::module_params) made.
    unsafe extern "C" fn set(text: *const c_char, param: *const kernel_param) -> c_int {
        // SAFETY: `arg` points to the static IntParam of the parameter.
        let this = unsafe { &*(*param).__bindgen_anon_1.arg.cast::<Self>() };
        from_result(|| {
            if text.is_null() {
                return Err(EINVAL);
            }
            // SAFETY: not null, so NUL-terminated.
            let bytes = unsafe { CStr::from_char_ptr(text) }
                .to_bytes()
                .trim_ascii_end();
            match i32::from_str(BStr::from_bytes(bytes)) {
                Ok(value) if (this.min..=this.max).contains(&value) => {
                    this.value.store(value, Relaxed);
                    Ok(0)
                }
                _ => {
                    // SAFETY: the names are NUL-terminated, `text` is limited by its length, and all live during the
                    // call; `mod` is the module that is loaded or owns the sysfs file. The format matches.
                    unsafe {
                        bindings::_printk(
                            c"\x013%s: parameter %s=%.*s: give a number from %d to %d\n"
                                .as_char_ptr(),
                            (*(*param).mod_).name.as_ptr(),
                            (*param).name,
                            bytes.len().min(64) as c_int,
                            text,
                            this.min,
                            this.max,
                        )
                    };
                    Err(EINVAL)
                }
            }
        })
    }

    /// # Safety
    ///
    /// Only for the kernel to call: `buffer` is a page, `param` one that [`module_params!`](crate::module_params) made.
    unsafe extern "C" fn show(buffer: *mut c_char, param: *const kernel_param) -> c_int {
        // SAFETY: `arg` points to the static IntParam of the parameter.
        let this = unsafe { &*(*param).__bindgen_anon_1.arg.cast::<Self>() };
        // SAFETY: the buffer holds a page; an int and a newline fit.
        unsafe { bindings::sprintf(buffer, c"%d\n".as_char_ptr(), this.get()) }
    }
}

/// Makes `parm=` and `parmtype=` texts: `N` bytes of `text`.
#[doc(hidden)]
pub const fn modinfo<const N: usize>(text: &str) -> [u8; N] {
    let (text, mut out, mut i) = (text.as_bytes(), [0; N], 0);
    while i < N {
        out[i] = text[i];
        i += 1;
    }
    out
}

/// Declares module parameters; see the [module documentation](self).
///
/// `charp` makes a [`StrParam`], `int(min, max, default)` an [`IntParam`]. The permissions are those of the file in
/// /sys/module/MODULE/parameters; the text is what modinfo shows.
#[macro_export]
macro_rules! module_params {
    ($($(#[$doc:meta])* static $id:ident: $kind:ident $(($($arg:expr),*))? = $name:literal, $perm:literal, $desc:expr;)*) => {$(
        $(#[$doc])*
        pub(crate) static $id: $crate::module_params!(@type $kind) =
            <$crate::module_params!(@type $kind)>::new($($($arg),*)?);
        const _: () = {
            #[link_section = ".modinfo"]
            #[used(compiler)]
            static PARM: [u8; concat!("parm=", $name, ":", $desc, "\0").len()] =
                $crate::param::modinfo(concat!("parm=", $name, ":", $desc, "\0"));
            #[link_section = ".modinfo"]
            #[used(compiler)]
            static PARMTYPE: [u8; concat!("parmtype=", $name, ":", stringify!($kind), "\0").len()] =
                $crate::param::modinfo(concat!("parmtype=", $name, ":", stringify!($kind), "\0"));
            #[link_section = "__param"]
            #[used(compiler)]
            static PARAM: $crate::param::KernelParam =
                $crate::param::KernelParam::new(::kernel::bindings::kernel_param {
                    name: concat!($name, "\0").as_ptr().cast(),
                    mod_: &raw mut ::kernel::bindings::__this_module,
                    ops: $id.ops(),
                    perm: $perm,
                    level: -1,
                    flags: 0,
                    __bindgen_anon_1: ::kernel::bindings::kernel_param__bindgen_ty_1 {
                        arg: (&raw const $id).cast_mut().cast(),
                    },
                });
        };
    )*};
    (@type charp) => { $crate::param::StrParam };
    (@type int) => { $crate::param::IntParam };
}
