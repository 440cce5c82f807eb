//! A size that is announced and not there reserves no memory.

#![expect(unsafe_code, reason = "an allocator that counts can only be made so")]

use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::Cell;

use sutra_client::protocol::frame::{FrameKind, HEADER_SIZE};
use sutra_client::protocol::{FrameHeader, Inbox, Reply, Request, WriteReply};
use sutra_client::{Batch, Learn, Level};
use sutra_layout::id::Id;
use sutra_layout::limits::{FRAME_SIZE_MAX, OPERATIONS_PER_FRAME_MAX};

thread_local! {
    static ALLOCATED_SIZE: Cell<usize> = const { Cell::new(0) };
    static ALLOCATION_COUNT: Cell<usize> = const { Cell::new(0) };
}

struct Counting;

#[global_allocator]
static ALLOCATOR: Counting = Counting;

fn count(size: usize) {
    // A thread that ends may free and allocate after its counters are gone.
    let _ = ALLOCATED_SIZE.try_with(|total| total.set(total.get() + size));
    let _ = ALLOCATION_COUNT.try_with(|total| total.set(total.get() + 1));
}

// SAFETY: every call goes to the system's allocator with the arguments it came with.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        count(layout.size());
        // SAFETY: the caller's promise about `layout` is passed on.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, pointer: *mut u8, layout: Layout) {
        // SAFETY: `pointer` came from `alloc` or `realloc` above, and so from the system.
        unsafe { System.dealloc(pointer, layout) }
    }

    unsafe fn realloc(&self, pointer: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        count(size);
        // SAFETY: as in `dealloc`; the caller's promise about `size` is passed on.
        unsafe { System.realloc(pointer, layout, size) }
    }
}

/// Bytes and calls that `work` allocates in this thread.
fn allocated_by(work: impl FnOnce()) -> (usize, usize) {
    let before = (ALLOCATED_SIZE.get(), ALLOCATION_COUNT.get());
    work();
    (ALLOCATED_SIZE.get() - before.0, ALLOCATION_COUNT.get() - before.1)
}

#[test]
fn announced_sizes_reserve_nothing() {
    // Ends with the count of errors, with no error behind it.
    let mut reply = Vec::new();
    WriteReply::default().encode(1, &mut reply);
    let mut reply = reply.split_off(HEADER_SIZE);
    reply[40..44].copy_from_slice(&(OPERATIONS_PER_FRAME_MAX as u32).to_le_bytes());

    let mut write = Vec::new();
    Batch::new().encode(1, 1, Level::Durable, &mut write);
    let mut write = write.split_off(HEADER_SIZE);
    write[12..16].copy_from_slice(&(OPERATIONS_PER_FRAME_MAX as u32).to_le_bytes());

    let stats = u32::MAX.to_le_bytes();
    let (size, _) = allocated_by(|| {
        assert!(Reply::decode(FrameKind::WriteReply, &reply).is_err());
        assert!(Request::decode(FrameKind::Write, &write).is_err());
        assert!(Reply::decode(FrameKind::StatsReply, &stats).is_err());
    });
    assert_eq!(size, 0);
}

#[test]
fn an_inbox_grows_by_what_came_and_not_by_what_a_header_announces() {
    let mut inbox = Inbox::new(FRAME_SIZE_MAX as u32);
    let announced = FRAME_SIZE_MAX as u32;
    let header = FrameHeader { body_size: announced, kind: FrameKind::WriteReply, request_id: 1 };
    let (size, _) = allocated_by(|| {
        inbox.room()[..HEADER_SIZE].copy_from_slice(&header.to_bytes());
        inbox.filled(HEADER_SIZE);
        assert!(inbox.next().unwrap().is_none());
        inbox.room();
    });
    assert!(size <= 256 << 10, "{size} bytes for a header");

    let header = FrameHeader { body_size: announced + 1, ..header };
    let mut inbox = Inbox::new(FRAME_SIZE_MAX as u32);
    inbox.room()[..HEADER_SIZE].copy_from_slice(&header.to_bytes());
    inbox.filled(HEADER_SIZE);
    assert!(inbox.next().is_err());
}

#[test]
fn encoding_and_decoding_operations_allocates_nothing_for_each() {
    let embedding = [0.5; 384];
    let learn = Learn {
        id: Id::Text("wolf.n.01"),
        content: Some("any of various predatory carnivorous canine mammals"),
        embedding: Some(&embedding),
        ..Learn::default()
    };
    let mut batch = Batch::new();
    let fill = |batch: &mut Batch| {
        batch.clear();
        (0..1000).for_each(|_| batch.learn(&learn).unwrap());
    };
    fill(&mut batch);
    let (size, _) = allocated_by(|| {
        fill(&mut batch);
        assert!(batch.operations().all(|operation| operation.is_ok()));
    });
    assert_eq!(size, 0);
}
