/** Reads what the server answers. Pure. */

import type { JSONObject } from '@lumino/coreutils';

import { numberOrNull, object, objects, text, textOrNull } from './json';
import type { IHealth, IHistoryNote, IOffer, IService, ISession } from './tokens';

const KIB = 1024;

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

export function readOffer(body: JSONObject): IOffer {
  return {
    kernelName: text(body['kernelName']),
    title: text(body['title']),
    description: text(body['description']),
    listed: body['listed'] === true
  };
}

export function readHealth(body: JSONObject): IHealth {
  return {
    engine: text(body['engine']),
    reason: text(body['reason']),
    suspends: body['suspends'] === true,
    maxExtension: numberOrNull(body['maxExtension']) ?? 0
  };
}
