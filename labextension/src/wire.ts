/** Reads what the server answers, and tells. Pure. */

import type { Event } from '@jupyterlab/services';
import type { JSONObject } from '@lumino/coreutils';

import { numberOrNull, object, objects, text, textOrNull } from './json';
import type {
  IHealth,
  IHistoryNote,
  IOffer,
  IService,
  ISession,
  ISessionExpiring,
  ISessionStatus,
  IStartProgress
} from './tokens';

const KIB = 1024;

/** Milliseconds. */
const SECOND = 1000;

/** Read what is told of one session. */
export function readSession(body: JSONObject): ISession {
  const usage = object(body['usage']);
  return {
    id: text(body['sessionId']),
    name: text(body['sessionName']),
    status: text(body['status']),
    info: text(body['statusInfo']),
    stopReason: text(body['stopReason']),
    position: numberOrNull(body['queuePosition']),
    waitsFor: text(body['queueReason']),
    image: text(body['image']),
    preset: text(body['preset']),
    kernel: text(body['kernel']),
    durable: body['durable'] === true,
    startedAt: textOrNull(body['startedAt']),
    endedAt: textOrNull(body['endedAt']),
    endsAt: textOrNull(body['idleTimeoutAt']),
    endsBy: text(body['endsBy']),
    cpu: numberOrNull(usage['cpuPercent']),
    memory: numberOrNull(usage['memBytes']),
    memoryLimit: (numberOrNull(body['memoryLimit']) ?? 0) * KIB,
    services: objects(body['servicePorts']).map(readService),
    history: objects(body['history']).map(readNote),
    kernelDeath: text(object(body['kernelExit'])['reason'])
  };
}

/** Read what is told of one service. */
export function readService(body: JSONObject): IService {
  return {
    name: text(body['name']),
    protocol: text(body['protocol']) || 'http',
    running: body['running'] === true,
    url: text(body['url']),
    isolation: text(body['isolation']),
    isolationInfo: text(body['isolationInfo'])
  };
}

function readNote(body: JSONObject): IHistoryNote {
  return { status: text(body['status']), at: text(body['at']), info: text(body['info']) };
}

/** Read one thing that can be started. */
export function readOffer(body: JSONObject): IOffer {
  return {
    kernelName: text(body['kernelName']),
    title: text(body['title']),
    description: text(body['description']),
    listed: body['listed'] === true
  };
}

/** Read how the whole is. */
export function readHealth(body: JSONObject): IHealth {
  return {
    engine: text(body['engine']),
    reason: text(body['reason']),
    suspends: body['suspends'] === true,
    maxExtension: numberOrNull(body['maxExtension']) ?? 0
  };
}

/** Id of the session that an event is about; "" for none. */
export function readSubject(event: Event.Emission): string {
  return text(event['session_id']);
}

/** Read a `START_PROGRESS` event. */
export function readProgress(event: Event.Emission): IStartProgress {
  const progress = numberOrNull(event['progress']);
  return {
    id: readSubject(event),
    phase: text(event['phase']),
    info: text(event['info']),
    progress: progress === null ? null : Math.min(Math.max(progress, 0), 1)
  };
}

/** Read a `SESSION_STATUS` event. */
export function readStatus(event: Event.Emission): ISessionStatus {
  return { id: readSubject(event), status: text(event['status']) };
}

/** Read a `SESSION_EXPIRING` event. */
export function readExpiring(event: Event.Emission): ISessionExpiring {
  const endsAt = (numberOrNull(event['ends_at']) ?? 0) * SECOND;
  return { id: readSubject(event), endsAt, limit: text(event['limit']) };
}
