import t from 'tap';
import { XENSTORE_DOMAIN_INTERFACE } from '../../../lib/layout/xs-ring.js';
import { XS, XSD_ERRORS, XSD_SOCKMSG, xsdError, xsName } from '../../../lib/layout/xs-wire.js';

t.test('message header and ring page lie as xs_wire.h has them', async (t) => {
  t.same(XSD_SOCKMSG.offset, { type: 0, req_id: 4, tx_id: 8, len: 12 });
  t.same(XENSTORE_DOMAIN_INTERFACE.offset, {
    req: 0,
    rsp: 1024,
    req_cons: 2048,
    req_prod: 2052,
    rsp_cons: 2056,
    rsp_prod: 2060,
    server_features: 2064,
    connection: 2068,
    error: 2072,
    evtchn_port: 2076,
  });
});

t.test('operations are numbered as xs_wire.h has them, RESTRICT left out', async (t) => {
  t.equal(XS.XS_SET_TARGET, 19);
  t.equal(XS.XS_RESET_WATCHES, 21);
  t.equal(XS.XS_SET_QUOTA, 26);
  t.equal(Object.keys(XS).length, 26);
  t.equal(xsName(20), 'TYPE_20');
  t.equal(xsName(15), 'WATCH_EVENT');
});

t.test('errors outside the list read as EINVAL', async (t) => {
  t.equal(XSD_ERRORS.length, 16);
  t.equal(xsdError('EAGAIN'), 'EAGAIN');
  t.equal(xsdError('EBADF'), 'EINVAL');
});
