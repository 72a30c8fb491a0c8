//! Every kernel on operands that begin or end where memory ends: a read or a write beside them ends the process.

#![cfg(unix)]
#![expect(unsafe_code, reason = "pages that nobody may touch")]

use std::ops::{Deref, DerefMut};

use half::f16;
use memmap2::{MmapMut, MmapRaw};

use super::attention::{attention, Shape};
use super::conv::{conv2d, Filters, Finish, Method, Pictures, Window};
use super::elementwise::{apply, geglu, Function};
use super::gemm::{linear, Bias, Epilogue, Kernel, Packed, Rounding, Side, Target, Values};
use super::join::join;
use super::norm::{moments, normalise, normalise_in_place, rms_normalise, Norm};
use super::transpose::{transpose, transpose_add};
use super::Isa;

/// A multiple of any system's pages.
const PAGE: usize = 64 << 10;

/// Values between two pages that nobody may touch: the first at the beginning of memory, or the last at its end.
struct Guarded<T> {
    map: MmapRaw,
    start: usize,
    len: usize,
    values: std::marker::PhantomData<T>,
}

impl<T: Copy> Guarded<T> {
    fn new(values: &[T], at_end: bool) -> Self {
        let room = size_of_val(values).next_multiple_of(PAGE).max(PAGE);
        let map = MmapRaw::from(MmapMut::map_anon(room + 2 * PAGE).unwrap());
        let start = PAGE + if at_end { room - size_of_val(values) } else { 0 };
        for place in [0, PAGE + room] {
            // SAFETY: the pages belong to the map, and nothing points to them.
            let status = unsafe { libc::mprotect(map.as_mut_ptr().add(place).cast(), PAGE, libc::PROT_NONE) };
            assert_eq!(status, 0);
        }
        let mut guarded = Guarded { map, start, len: values.len(), values: std::marker::PhantomData };
        guarded.copy_from_slice(values);
        guarded
    }
}

impl<T> Deref for Guarded<T> {
    type Target = [T];

    fn deref(&self) -> &[T] {
        // SAFETY: as many values lie between the pages, aligned as both ends of a page are; they were zeros, which are a value of
        // any type used here.
        unsafe { std::slice::from_raw_parts(self.map.as_ptr().add(self.start).cast(), self.len) }
    }
}

impl<T> DerefMut for Guarded<T> {
    fn deref_mut(&mut self) -> &mut [T] {
        // SAFETY: as above; the values are borrowed for as long.
        unsafe { std::slice::from_raw_parts_mut(self.map.as_mut_ptr().add(self.start).cast(), self.len) }
    }
}

fn wave(count: usize) -> Vec<f32> {
    (0..count).map(|i| (i as f32 * 0.37 + 0.3).sin()).collect()
}

/// Calls `f` for each instruction set and both ends, with what makes values between guards.
fn everywhere(f: impl Fn(Isa, &dyn Fn(usize) -> Guarded<f32>)) {
    for isa in Isa::all() {
        for at_end in [false, true] {
            f(isa, &|count| Guarded::new(&wave(count), at_end));
        }
    }
}

#[test]
fn the_pages_are_guarded() {
    for at_end in [false, true] {
        let values = Guarded::new(&[1f32, 2.0, 3.0], at_end);
        assert_eq!(*values, [1.0, 2.0, 3.0]);
        let beside = if at_end { values.start + size_of_val(&*values) } else { values.start - 1 };
        // A child may be killed for it; this process could not tell the tale.
        // SAFETY: the child only reads a byte and ends.
        let status = unsafe {
            match libc::fork() {
                0 => libc::_exit(i32::from(values.map.as_ptr().add(beside).read_volatile())),
                child => {
                    let mut status = 0;
                    assert_eq!(libc::waitpid(child, &raw mut status, 0), child);
                    status
                }
            }
        };
        assert!(libc::WIFSIGNALED(status), "{status}");
    }
}

#[test]
fn products_stay_inside() {
    everywhere(|isa, guarded| {
        // The last is so large that it is streamed.
        let shapes = [
            [1, 1, 1],
            [1, 5, 3],
            [9, 47, 257],
            [7, 49, 33],
            [100, 17, 130],
            [50, 1, 2],
            [24, 96, 140],
            [1024, 1024, 1],
        ];
        for [rows, outputs, depth] in shapes {
            let (x, w, bias) = (guarded(rows * depth), guarded(outputs * depth), guarded(outputs));
            let (residual, mut out) = (guarded(rows * outputs), guarded(rows * outputs));
            let halves: Vec<f16> = w.iter().map(|w| f16::from_f32(*w)).collect();
            let halves = [false, true].map(|at_end| Guarded::new(&halves, at_end));
            for rounding in [Rounding::None, Rounding::Bf16, Rounding::F16] {
                let kernel = Kernel::new(isa, rounding);
                for values in [Values::F32(&w), Values::F16(&halves[0]), Values::F16(&halves[1])] {
                    let weights = Packed::weights(kernel, Side::Columns, values, [outputs, depth, 1]);
                    for function in [None, Some(Function::Gelu)] {
                        let (bias, target) = (Bias::Columns(&bias), Target::matrix(outputs));
                        let epilogue = Epilogue { bias, function, residual: Some(&residual), target };
                        linear(&x, rows, &weights, &epilogue, &mut out);
                    }
                }
            }
        }
    });
}

#[test]
fn convolutions_stay_inside() {
    let shapes = [
        ([1, 1, 1, 1], None, 1, 3, 1),
        ([2, 3, 5, 7], None, 9, 3, 1),
        ([1, 67, 13, 30], None, 17, 3, 1),
        ([3, 5, 33, 17], None, 2, 3, 2),
        ([2, 5, 9, 50], None, 49, 1, 1),
        ([1, 3, 4, 5], Some((7, 10)), 8, 3, 1),
        ([2, 3, 6, 16], None, 16, 1, 1),
    ];
    everywhere(|isa, guarded| {
        for ([batch, channels, height, width], enlarged, outputs, side, stride) in shapes {
            let pictures = Pictures { batch, channels, height, width, enlarged };
            let window = Window { kernel: side, stride, before: side / 2, after: side / 2 };
            let (out_height, out_width) = window.outputs(&pictures).unwrap();
            let size = batch * outputs * out_height * out_width;
            let (x, w) = (guarded(pictures.len()), guarded(outputs * channels * side * side));
            let (bias, shift, residual) = (guarded(outputs), guarded(batch * outputs), guarded(size));
            let mut out = guarded(size);
            for rounding in [Rounding::None, Rounding::Bf16] {
                let kernel = Kernel::new(isa, rounding);
                let winograd = (side, stride) == (3, 1) && !kernel.pairs();
                for method in [Some(Method::Direct), winograd.then_some(Method::Winograd)].into_iter().flatten() {
                    let filters = Filters::new(kernel, method, Values::F32(&w), [outputs, channels], window);
                    for function in [None, Some(Function::Silu)] {
                        let (shift, residual) = (Some(&*shift), Some(&*residual));
                        let finish = Finish { bias: &bias, shift, function, residual };
                        conv2d(&x, &pictures, &filters, &finish, &mut out);
                    }
                }
            }
        }
    });
}

#[test]
fn attention_stays_inside() {
    everywhere(|isa, guarded| {
        for [batch, heads, queries, keys, width] in
            [[1, 1, 1, 1, 1], [2, 3, 9, 9, 8], [1, 2, 50, 77, 40], [1, 1, 7, 401, 33]]
        {
            let shape = Shape { batch, heads, queries, keys, width };
            let vectors = |tokens: usize| guarded(batch * tokens * heads * width);
            let (q, k, v, mut out) = (vectors(queries), vectors(keys), vectors(keys), vectors(queries));
            let mask = guarded(queries * keys);
            for rounding in [Rounding::None, Rounding::Bf16] {
                for mask in [None, Some(&*mask)] {
                    attention(&Kernel::new(isa, rounding), &shape, [&q, &k, &v], mask, 0.3, &mut out);
                }
            }
        }
    });
}

#[test]
fn passes_stay_inside() {
    everywhere(|isa, guarded| {
        let shapes = [(1, 1, 1, 1), (1, 1283, 1, 3), (3, 6, 15, 2), (2, 4, 4099, 1), (1, 1024, 1, 1024)];
        for (groups, channels, span, batch) in shapes {
            let (scale, shift) = (guarded(channels), guarded(channels));
            let norm = Norm { groups, span, eps: 1e-5, scale: &scale, shift: &shift, function: Some(Function::Silu) };
            let (mut x, mut out) = (guarded(batch * channels * span), guarded(batch * channels * span));
            assert_eq!(moments(isa, batch * groups, &x).len(), batch * groups);
            normalise(isa, &norm, &x, &mut out);
            normalise_in_place(isa, &norm, &mut x);
            rms_normalise(isa, 1e-6, &scale, &x, &mut out);
        }
        for count in [1, 15, 17, 70_001, 1 << 20] {
            let (x, y, mut out) = (guarded(2 * count), guarded(count), guarded(count));
            for function in [Function::Silu, Function::Gelu, Function::GeluTanh, Function::QuickGelu] {
                apply(isa, function, &y, &mut out);
            }
            geglu(isa, &x, count, &mut out);
            let (left, right) = x[..count].split_at(count / 3);
            join(isa, left, right, 1, &mut out);
        }
    });
    for (rows, columns) in [(1, 1), (7, 50), (33, 1), (65, 130)] {
        for at_end in [false, true] {
            let values = wave(2 * rows * columns);
            let [x, more, mut out] = [(); 3].map(|()| Guarded::new(&values, at_end));
            for isa in Isa::all() {
                transpose(isa, &x, rows, columns, &mut out);
                transpose_add(isa, &x, rows, columns, &more, &mut out);
            }
        }
    }
}
