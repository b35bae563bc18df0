/** Reads what is needed of kernel messages as websockets carry them, without reading the rest. Pure. */

const decoder = new TextDecoder();

/** Parts of a message of the protocol v1, by their place. */
const CHANNEL = 0;
const HEADER = 1;
const METADATA = 3;

/** What is of interest of a message. */
export interface IGlance {
  readonly channel: string;
  /** The message's own id. */
  readonly id: string;
  /** Its number in the journal, where it had been kept, since it was missed; else null. */
  readonly seq: number | null;
  /** Whether the server made it, so that no journal knows it. */
  readonly made: boolean;
}

/** Look at a message; null when it is none that can be read. */
export function glance(data: unknown): IGlance | null {
  try {
    return data instanceof ArrayBuffer ? ofBinary(data) : ofText(String(data));
  } catch {
    return null; // not for us to judge: the page reads it, and says what is wrong
  }
}

/** The protocol v1 begins with the number of offsets, then has the offsets of the parts. */
function ofBinary(data: ArrayBuffer): IGlance {
  const view = new DataView(data);
  const at = (index: number) => Number(view.getBigUint64(8 * (index + 1), true));
  const part = (index: number) => decoder.decode(data.slice(at(index), at(index + 1)));
  return {
    channel: part(CHANNEL),
    id: idOf(JSON.parse(part(HEADER))),
    ...ours(JSON.parse(part(METADATA)))
  };
}

function ofText(data: string): IGlance {
  const message = JSON.parse(data) as Record<string, unknown>;
  return {
    channel: String(message['channel']),
    id: idOf(message['header']),
    ...ours(message['metadata'])
  };
}

function idOf(header: unknown): string {
  return String((header as Record<string, unknown>)['msg_id']);
}

/** What the server says of a message. */
function ours(metadata: unknown): Pick<IGlance, 'seq' | 'made'> {
  const said = (metadata as Record<string, unknown> | null)?.['sessmgr'];
  const { seq, made } = (said ?? {}) as Record<string, unknown>;
  return { seq: typeof seq === 'number' ? seq : null, made: made === true };
}
