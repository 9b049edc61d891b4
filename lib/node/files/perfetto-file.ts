// The bytes of a Perfetto trace, and back: native TrackEvent packets. Only the fields that we write stand here, with the numbers
// of perfetto.dev's protos/perfetto/trace/trace_packet.proto, clock_snapshot.proto, track_event/track_event.proto,
// track_descriptor.proto and debug_annotation.proto. Leaves what is written to lib/trace/perfetto.ts.
import protobuf from 'protobufjs';
import { flowsOf } from '../../trace/flows.js';
import { perfettoPackets, type TracePacket } from '../../trace/perfetto.js';
import type { TraceRecord } from '../../trace/record.js';
import { timelineOf } from '../../trace/slices.js';

// As for the bus (../bus/proto.ts): 64-bit integers as numbers, all of ours are exact.
protobuf.util.Long = null as unknown as typeof protobuf.util.Long;
protobuf.configure();

const PROTO = `
syntax = "proto2";
message Trace { repeated TracePacket packet = 1; }
message TracePacket {
  optional ClockSnapshot clock_snapshot = 6;
  optional uint64 timestamp = 8;
  optional uint32 trusted_packet_sequence_id = 10;
  optional TrackEvent track_event = 11;
  optional uint32 sequence_flags = 13;
  optional uint32 timestamp_clock_id = 58;
  optional TrackDescriptor track_descriptor = 60;
}
message ClockSnapshot {
  message Clock {
    optional uint32 clock_id = 1;
    optional uint64 timestamp = 2;
  }
  repeated Clock clocks = 1;
  optional int32 primary_trace_clock = 2;
}
message TrackEvent {
  repeated DebugAnnotation debug_annotations = 4;
  optional int32 type = 9;
  optional uint64 track_uuid = 11;
  repeated string categories = 22;
  optional string name = 23;
  optional int64 counter_value = 30;
  repeated fixed64 flow_ids = 47;
  repeated fixed64 terminating_flow_ids = 48;
}
message TrackDescriptor {
  optional uint64 uuid = 1;
  optional string name = 2;
  optional uint64 parent_uuid = 5;
  optional int32 child_ordering = 11;
  optional int32 sibling_order_rank = 12;
}
message DebugAnnotation {
  optional string string_value = 6;
  optional string name = 10;
}
`;
const Trace = protobuf.parse(PROTO, new protobuf.Root(), { keepCase: true }).root.lookupType('Trace');
/** Packets that are encoded at a time: a file is the packets one after the other, so pieces may be put together. */
const PACKETS_A_PIECE = 10_000;

/** The file of these records, of all processes in order of time. */
export function perfettoFile(records: readonly TraceRecord[]): Uint8Array {
  const packets = perfettoPackets(timelineOf(records), flowsOf(records));
  const pieces: Uint8Array[] = [];
  for (let at = 0; at < packets.length; at += PACKETS_A_PIECE)
    pieces.push(Trace.encode({ packet: packets.slice(at, at + PACKETS_A_PIECE) }).finish());
  return Buffer.concat(pieces);
}

/** The packets of a file, with the fields that we write. Throws on bytes that are no such file. */
export function readPerfettoFile(bytes: Uint8Array): TracePacket[] {
  const { packet } = Trace.toObject(Trace.decode(bytes), { longs: Number, arrays: false });
  return packet ?? [];
}
