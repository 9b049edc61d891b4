// Derived from proto/ by scripts/derive-proto.mjs; not edited by hand. Encoders and decoders of all messages, and the types of
// all methods. lib/node/bus/proto.ts gives them to others.
// @ts-nocheck: protobufjs generates JavaScript
import protobuf from 'protobufjs/minimal.js';

protobuf.util.Long = null;
protobuf.configure();
const { Reader, Writer, util } = protobuf;

// The library rounds what no number holds; a peer's 2^64 - 1 would be another value than the one it sent.
const readUint64 = Reader.prototype.uint64;
Reader.prototype.uint64 = function uint64() {
  const value = readUint64.call(this);
  if (value > Number.MAX_SAFE_INTEGER) throw new RangeError('a 64-bit integer past 2^53');
  return value;
};

function classOf(defaults) {
  function Message() {}
  Object.assign(Message.prototype, defaults);
  return Message;
}

export const MESSAGES = {
  Envelope: {},
  Hello: {},
  Welcome: {},
  Empty: {},
  Held: {},
  AuditReply: {},
  Usage: {},
  DomctlCreate: {},
  DomctlCreated: {},
  DomctlDomain: {},
  DomctlRename: {},
  DomainInfo: {},
  DomainInfoList: {},
  DomainState: {},
  HvmParam: {},
  Token: {},
  EvtchnAllocUnbound: {},
  EvtchnBindInterdomain: {},
  EvtchnBindVirq: {},
  EvtchnBindIpi: {},
  EvtchnPortArg: {},
  EvtchnLocalPort: {},
  EvtchnStatus: {},
  EvtchnStatusReply: {},
  EvtchnBindVcpu: {},
  EvtchnReset: {},
  GuestAttach: {},
  GuestPages: {},
  SchedShutdown: {},
  DmCreateIoreqServer: {},
  DmIoreqServer: {},
  DmIoreqServerInfo: {},
  DmIoRange: {},
  DmIoreqServerState: {},
  DmEvtchnRaise: {},
  DmRemoteShutdown: {},
  DmDomain: {},
  DmNrVcpus: {},
  AcquireResource: {},
  AcquiredResource: {},
  ForeignMap: {},
  ForeignMemory: {},
  ForeignUnmap: {},
  DevEvtchnOpen: {},
  DevEvtchnPage: {},
  DevEvtchnBindInterdomain: {},
  DevEvtchnBindVirq: {},
  DevEvtchnBindUnbound: {},
  DevEvtchnPort: {},
  DevFd: {},
  DevEvtchnEventfd: {},
  DevEvtchnEventfdReply: {},
  PrivcmdIoeventfd: {},
  PrivcmdIrqfd: {},
  PrivcmdIrqfdReply: {},
  GnttabSetup: {},
  GnttabTable: {},
  GntdevOpen: {},
  GntdevMap: {},
  GntdevMapped: {},
  GntdevMapReply: {},
  GntdevUnmap: {},
  GntdevUnmapReply: {},
  Hypercall: {},
  HypercallReply: {},
  BellHandle: {},
  FileHandle: {},
  GrantHandle: {},
  Ring: {},
  VhostUserHandle: {},
  VhostUserMessage: {},
  VhostUserOpen: {},
  VhostUserSession: {},
  VhostUserClose: {},
  ScreenshotRequest: {},
  Screenshot: {},
  DisplayResize: {},
  DisplayWatch: {},
  DisplayFrame: {},
  DisplayScanout: {},
  DisplayCursor: {},
  StoreMessage: {},
  StoreTaken: {},
};

{
const types = [undefined, undefined, undefined, undefined, undefined, undefined, undefined, undefined];
const C = classOf({ kind: 0, incarnation: 0, id: 0, method: "", rc: 0, body: util.emptyArray, error: "", flow: 0 });
Object.assign(MESSAGES.Envelope, {
encode: function (m,w,q){
  if(!w)
  w=Writer.create()
  if(q===undefined)q=0
  if(q>util.recursionLimit)
  throw Error("max depth exceeded")
  if(m.kind!=null&&Object.hasOwnProperty.call(m,"kind")&&m.kind!==0)
  w.uint32(8).int32(m.kind)
  if(m.incarnation!=null&&Object.hasOwnProperty.call(m,"incarnation")&&(typeof m.incarnation==="object"?m.incarnation.low||m.incarnation.high:m.incarnation!==0))
  w.uint32(16).uint64(m.incarnation)
  if(m.id!=null&&Object.hasOwnProperty.call(m,"id")&&m.id!==0)
  w.uint32(24).uint32(m.id)
  if(m.method!=null&&Object.hasOwnProperty.call(m,"method")&&m.method!=="")
  w.uint32(34).string(m.method)
  if(m.rc!=null&&Object.hasOwnProperty.call(m,"rc")&&m.rc!==0)
  w.uint32(40).sint32(m.rc)
  if(m.body!=null&&Object.hasOwnProperty.call(m,"body")&&m.body.length)
  w.uint32(50).bytes(m.body)
  if(m.error!=null&&Object.hasOwnProperty.call(m,"error")&&m.error!=="")
  w.uint32(58).string(m.error)
  if(m.flow!=null&&Object.hasOwnProperty.call(m,"flow")&&m.flow!==0)
  w.uint32(64).uint32(m.flow)
  if(m.$unknowns!=null&&Object.hasOwnProperty.call(m,"$unknowns"))
  for(var i=0;i<m.$unknowns.length;++i)
  w.raw(m.$unknowns[i])
  return w
},
decode: function (r,l,z,q,g){
  if(!(r instanceof Reader))
  r=Reader.create(r)
  if(q===undefined)q=0
  if(q>Reader.recursionLimit)
  throw Error("max depth exceeded")
  var c,m,v
  if(l===undefined)
  c=r.len
  else{
  c=r.pos+l
  if(c>r.len)
  throw RangeError("index out of range")
  l=r.len
  r.len=c
  }
  m=g||new C
  while(r.pos<c){
  var s=r.pos
  var t=r.tag()
  if(t===z){
  z=undefined
  break
  }
  var u=t&7
  switch(t>>>=3){
  case 1:{
  if(u!==0)
  break
  if(v=r.int32())
  m.kind=v
  else
  delete m.kind
  continue
  }
  case 2:{
  if(u!==0)
  break
  if(typeof(v=r.uint64())==="object"?v.low||v.high:v!==0)
  m.incarnation=v
  else
  delete m.incarnation
  continue
  }
  case 3:{
  if(u!==0)
  break
  if(v=r.uint32())
  m.id=v
  else
  delete m.id
  continue
  }
  case 4:{
  if(u!==2)
  break
  if((v=r.stringVerify()).length)
  m.method=v
  else
  delete m.method
  continue
  }
  case 5:{
  if(u!==0)
  break
  if(v=r.sint32())
  m.rc=v
  else
  delete m.rc
  continue
  }
  case 6:{
  if(u!==2)
  break
  if((v=r.bytes()).length)
  m.body=v
  else
  delete m.body
  continue
  }
  case 7:{
  if(u!==2)
  break
  if((v=r.stringVerify()).length)
  m.error=v
  else
  delete m.error
  continue
  }
  case 8:{
  if(u!==0)
  break
  if(v=r.uint32())
  m.flow=v
  else
  delete m.flow
  continue
  }
  }
  r.skipType(u,q,t)
  if(!r.discardUnknown){
  util.makeProp(m,"$unknowns",false);
  (m.$unknowns||(m.$unknowns=[])).push(r.raw(s,r.pos))
  }
  }
  if(l!==undefined){
  if(r.pos!==c)
  throw RangeError("index out of range")
  r.len=l
  }
  if(z!==undefined)
  throw Error("missing end group")
  return m
},
});
}
{
const types = [undefined, undefined, undefined];
const C = classOf({ name: "", token: "", pid: 0 });
Object.assign(MESSAGES.Hello, {
encode: function (m,w,q){
  if(!w)
  w=Writer.create()
  if(q===undefined)q=0
  if(q>util.recursionLimit)
  throw Error("max depth exceeded")
  if(m.name!=null&&Object.hasOwnProperty.call(m,"name")&&m.name!=="")
  w.uint32(10).string(m.name)
  if(m.token!=null&&Object.hasOwnProperty.call(m,"token")&&m.token!=="")
  w.uint32(18).string(m.token)
  if(m.pid!=null&&Object.hasOwnProperty.call(m,"pid")&&m.pid!==0)
  w.uint32(24).uint32(m.pid)
  if(m.$unknowns!=null&&Object.hasOwnProperty.call(m,"$unknowns"))
  for(var i=0;i<m.$unknowns.length;++i)
  w.raw(m.$unknowns[i])
  return w
},
decode: function (r,l,z,q,g){
  if(!(r instanceof Reader))
  r=Reader.create(r)
  if(q===undefined)q=0
  if(q>Reader.recursionLimit)
  throw Error("max depth exceeded")
  var c,m,v
  if(l===undefined)
  c=r.len
  else{
  c=r.pos+l
  if(c>r.len)
  throw RangeError("index out of range")
  l=r.len
  r.len=c
  }
  m=g||new C
  while(r.pos<c){
  var s=r.pos
  var t=r.tag()
  if(t===z){
  z=undefined
  break
  }
  var u=t&7
  switch(t>>>=3){
  case 1:{
  if(u!==2)
  break
  if((v=r.stringVerify()).length)
  m.name=v
  else
  delete m.name
  continue
  }
  case 2:{
  if(u!==2)
  break
  if((v=r.stringVerify()).length)
  m.token=v
  else
  delete m.token
  continue
  }
  case 3:{
  if(u!==0)
  break
  if(v=r.uint32())
  m.pid=v
  else
  delete m.pid
  continue
  }
  }
  r.skipType(u,q,t)
  if(!r.discardUnknown){
  util.makeProp(m,"$unknowns",false);
  (m.$unknowns||(m.$unknowns=[])).push(r.raw(s,r.pos))
  }
  }
  if(l!==undefined){
  if(r.pos!==c)
  throw RangeError("index out of range")
  r.len=l
  }
  if(z!==undefined)
  throw Error("missing end group")
  return m
},
});
}
{
const types = [undefined, undefined, undefined];
const C = classOf({ name: "", domid: 0, pid: 0 });
Object.assign(MESSAGES.Welcome, {
encode: function (m,w,q){
  if(!w)
  w=Writer.create()
  if(q===undefined)q=0
  if(q>util.recursionLimit)
  throw Error("max depth exceeded")
  if(m.name!=null&&Object.hasOwnProperty.call(m,"name")&&m.name!=="")
  w.uint32(10).string(m.name)
  if(m.domid!=null&&Object.hasOwnProperty.call(m,"domid")&&m.domid!==0)
  w.uint32(16).uint32(m.domid)
  if(m.pid!=null&&Object.hasOwnProperty.call(m,"pid")&&m.pid!==0)
  w.uint32(24).uint32(m.pid)
  if(m.$unknowns!=null&&Object.hasOwnProperty.call(m,"$unknowns"))
  for(var i=0;i<m.$unknowns.length;++i)
  w.raw(m.$unknowns[i])
  return w
},
decode: function (r,l,z,q,g){
  if(!(r instanceof Reader))
  r=Reader.create(r)
  if(q===undefined)q=0
  if(q>Reader.recursionLimit)
  throw Error("max depth exceeded")
  var c,m,v
  if(l===undefined)
  c=r.len
  else{
  c=r.pos+l
  if(c>r.len)
  throw RangeError("index out of range")
  l=r.len
  r.len=c
  }
  m=g||new C
  while(r.pos<c){
  var s=r.pos
  var t=r.tag()
  if(t===z){
  z=undefined
  break
  }
  var u=t&7
  switch(t>>>=3){
  case 1:{
  if(u!==2)
  break
  if((v=r.stringVerify()).length)
  m.name=v
  else
  delete m.name
  continue
  }
  case 2:{
  if(u!==0)
  break
  if(v=r.uint32())
  m.domid=v
  else
  delete m.domid
  continue
  }
  case 3:{
  if(u!==0)
  break
  if(v=r.uint32())
  m.pid=v
  else
  delete m.pid
  continue
  }
  }
  r.skipType(u,q,t)
  if(!r.discardUnknown){
  util.makeProp(m,"$unknowns",false);
  (m.$unknowns||(m.$unknowns=[])).push(r.raw(s,r.pos))
  }
  }
  if(l!==undefined){
  if(r.pos!==c)
  throw RangeError("index out of range")
  r.len=l
  }
  if(z!==undefined)
  throw Error("missing end group")
  return m
},
});
}
{
const types = [];
const C = classOf({  });
Object.assign(MESSAGES.Empty, {
encode: function (m,w,q){
  if(!w)
  w=Writer.create()
  if(q===undefined)q=0
  if(q>util.recursionLimit)
  throw Error("max depth exceeded")
  if(m.$unknowns!=null&&Object.hasOwnProperty.call(m,"$unknowns"))
  for(var i=0;i<m.$unknowns.length;++i)
  w.raw(m.$unknowns[i])
  return w
},
decode: function (r,l,z,q,g){
  if(!(r instanceof Reader))
  r=Reader.create(r)
  if(q===undefined)q=0
  if(q>Reader.recursionLimit)
  throw Error("max depth exceeded")
  var c,m
  if(l===undefined)
  c=r.len
  else{
  c=r.pos+l
  if(c>r.len)
  throw RangeError("index out of range")
  l=r.len
  r.len=c
  }
  m=g||new C
  while(r.pos<c){
  var s=r.pos
  var t=r.tag()
  if(t===z){
  z=undefined
  break
  }
  r.skipType(t&7,q,t)
  if(!r.discardUnknown){
  util.makeProp(m,"$unknowns",false);
  (m.$unknowns||(m.$unknowns=[])).push(r.raw(s,r.pos))
  }
  }
  if(l!==undefined){
  if(r.pos!==c)
  throw RangeError("index out of range")
  r.len=l
  }
  if(z!==undefined)
  throw Error("missing end group")
  return m
},
});
}
{
const types = [undefined, undefined];
const C = classOf({ kind: "", name: "" });
Object.assign(MESSAGES.Held, {
encode: function (m,w,q){
  if(!w)
  w=Writer.create()
  if(q===undefined)q=0
  if(q>util.recursionLimit)
  throw Error("max depth exceeded")
  if(m.kind!=null&&Object.hasOwnProperty.call(m,"kind")&&m.kind!=="")
  w.uint32(10).string(m.kind)
  if(m.name!=null&&Object.hasOwnProperty.call(m,"name")&&m.name!=="")
  w.uint32(18).string(m.name)
  if(m.$unknowns!=null&&Object.hasOwnProperty.call(m,"$unknowns"))
  for(var i=0;i<m.$unknowns.length;++i)
  w.raw(m.$unknowns[i])
  return w
},
decode: function (r,l,z,q,g){
  if(!(r instanceof Reader))
  r=Reader.create(r)
  if(q===undefined)q=0
  if(q>Reader.recursionLimit)
  throw Error("max depth exceeded")
  var c,m,v
  if(l===undefined)
  c=r.len
  else{
  c=r.pos+l
  if(c>r.len)
  throw RangeError("index out of range")
  l=r.len
  r.len=c
  }
  m=g||new C
  while(r.pos<c){
  var s=r.pos
  var t=r.tag()
  if(t===z){
  z=undefined
  break
  }
  var u=t&7
  switch(t>>>=3){
  case 1:{
  if(u!==2)
  break
  if((v=r.stringVerify()).length)
  m.kind=v
  else
  delete m.kind
  continue
  }
  case 2:{
  if(u!==2)
  break
  if((v=r.stringVerify()).length)
  m.name=v
  else
  delete m.name
  continue
  }
  }
  r.skipType(u,q,t)
  if(!r.discardUnknown){
  util.makeProp(m,"$unknowns",false);
  (m.$unknowns||(m.$unknowns=[])).push(r.raw(s,r.pos))
  }
  }
  if(l!==undefined){
  if(r.pos!==c)
  throw RangeError("index out of range")
  r.len=l
  }
  if(z!==undefined)
  throw Error("missing end group")
  return m
},
});
}
{
const types = [MESSAGES.Held];
const C = classOf({ held: util.emptyArray });
Object.assign(MESSAGES.AuditReply, {
encode: function (m,w,q){
  if(!w)
  w=Writer.create()
  if(q===undefined)q=0
  if(q>util.recursionLimit)
  throw Error("max depth exceeded")
  if(m.held!=null&&m.held.length){
  for(var i=0;i<m.held.length;++i)
  types[0].encode(m.held[i],w.uint32(10).fork(),q+1).ldelim()
  }
  if(m.$unknowns!=null&&Object.hasOwnProperty.call(m,"$unknowns"))
  for(var i=0;i<m.$unknowns.length;++i)
  w.raw(m.$unknowns[i])
  return w
},
decode: function (r,l,z,q,g){
  if(!(r instanceof Reader))
  r=Reader.create(r)
  if(q===undefined)q=0
  if(q>Reader.recursionLimit)
  throw Error("max depth exceeded")
  var c,m
  if(l===undefined)
  c=r.len
  else{
  c=r.pos+l
  if(c>r.len)
  throw RangeError("index out of range")
  l=r.len
  r.len=c
  }
  m=g||new C
  while(r.pos<c){
  var s=r.pos
  var t=r.tag()
  if(t===z){
  z=undefined
  break
  }
  var u=t&7
  switch(t>>>=3){
  case 1:
  {
  if(u!==2)
  break
  if(!(m.held&&m.held.length))
  m.held=[]
  m.held.push(types[0].decode(r,r.size(),undefined,q+1))
  continue
  }
  }
  r.skipType(u,q,t)
  if(!r.discardUnknown){
  util.makeProp(m,"$unknowns",false);
  (m.$unknowns||(m.$unknowns=[])).push(r.raw(s,r.pos))
  }
  }
  if(l!==undefined){
  if(r.pos!==c)
  throw RangeError("index out of range")
  r.len=l
  }
  if(z!==undefined)
  throw Error("missing end group")
  return m
},
});
}
{
const types = [undefined, undefined];
const C = classOf({ descriptors: 0, resident_bytes: 0 });
Object.assign(MESSAGES.Usage, {
encode: function (m,w,q){
  if(!w)
  w=Writer.create()
  if(q===undefined)q=0
  if(q>util.recursionLimit)
  throw Error("max depth exceeded")
  if(m.descriptors!=null&&Object.hasOwnProperty.call(m,"descriptors")&&m.descriptors!==0)
  w.uint32(8).uint32(m.descriptors)
  if(m.resident_bytes!=null&&Object.hasOwnProperty.call(m,"resident_bytes")&&(typeof m.resident_bytes==="object"?m.resident_bytes.low||m.resident_bytes.high:m.resident_bytes!==0))
  w.uint32(16).uint64(m.resident_bytes)
  if(m.$unknowns!=null&&Object.hasOwnProperty.call(m,"$unknowns"))
  for(var i=0;i<m.$unknowns.length;++i)
  w.raw(m.$unknowns[i])
  return w
},
decode: function (r,l,z,q,g){
  if(!(r instanceof Reader))
  r=Reader.create(r)
  if(q===undefined)q=0
  if(q>Reader.recursionLimit)
  throw Error("max depth exceeded")
  var c,m,v
  if(l===undefined)
  c=r.len
  else{
  c=r.pos+l
  if(c>r.len)
  throw RangeError("index out of range")
  l=r.len
  r.len=c
  }
  m=g||new C
  while(r.pos<c){
  var s=r.pos
  var t=r.tag()
  if(t===z){
  z=undefined
  break
  }
  var u=t&7
  switch(t>>>=3){
  case 1:{
  if(u!==0)
  break
  if(v=r.uint32())
  m.descriptors=v
  else
  delete m.descriptors
  continue
  }
  case 2:{
  if(u!==0)
  break
  if(typeof(v=r.uint64())==="object"?v.low||v.high:v!==0)
  m.resident_bytes=v
  else
  delete m.resident_bytes
  continue
  }
  }
  r.skipType(u,q,t)
  if(!r.discardUnknown){
  util.makeProp(m,"$unknowns",false);
  (m.$unknowns||(m.$unknowns=[])).push(r.raw(s,r.pos))
  }
  }
  if(l!==undefined){
  if(r.pos!==c)
  throw RangeError("index out of range")
  r.len=l
  }
  if(z!==undefined)
  throw Error("missing end group")
  return m
},
});
}
{
const types = [undefined, undefined, undefined, undefined, undefined];
const C = classOf({ domid: 0, name: "", memory_mib: 0, max_vcpus: 0, max_evtchn_port: 0 });
Object.assign(MESSAGES.DomctlCreate, {
encode: function (m,w,q){
  if(!w)
  w=Writer.create()
  if(q===undefined)q=0
  if(q>util.recursionLimit)
  throw Error("max depth exceeded")
  if(m.domid!=null&&Object.hasOwnProperty.call(m,"domid")&&m.domid!==0)
  w.uint32(8).uint32(m.domid)
  if(m.name!=null&&Object.hasOwnProperty.call(m,"name")&&m.name!=="")
  w.uint32(18).string(m.name)
  if(m.memory_mib!=null&&Object.hasOwnProperty.call(m,"memory_mib")&&m.memory_mib!==0)
  w.uint32(24).uint32(m.memory_mib)
  if(m.max_vcpus!=null&&Object.hasOwnProperty.call(m,"max_vcpus")&&m.max_vcpus!==0)
  w.uint32(32).uint32(m.max_vcpus)
  if(m.max_evtchn_port!=null&&Object.hasOwnProperty.call(m,"max_evtchn_port")&&m.max_evtchn_port!==0)
  w.uint32(40).sint32(m.max_evtchn_port)
  if(m.$unknowns!=null&&Object.hasOwnProperty.call(m,"$unknowns"))
  for(var i=0;i<m.$unknowns.length;++i)
  w.raw(m.$unknowns[i])
  return w
},
decode: function (r,l,z,q,g){
  if(!(r instanceof Reader))
  r=Reader.create(r)
  if(q===undefined)q=0
  if(q>Reader.recursionLimit)
  throw Error("max depth exceeded")
  var c,m,v
  if(l===undefined)
  c=r.len
  else{
  c=r.pos+l
  if(c>r.len)
  throw RangeError("index out of range")
  l=r.len
  r.len=c
  }
  m=g||new C
  while(r.pos<c){
  var s=r.pos
  var t=r.tag()
  if(t===z){
  z=undefined
  break
  }
  var u=t&7
  switch(t>>>=3){
  case 1:{
  if(u!==0)
  break
  if(v=r.uint32())
  m.domid=v
  else
  delete m.domid
  continue
  }
  case 2:{
  if(u!==2)
  break
  if((v=r.stringVerify()).length)
  m.name=v
  else
  delete m.name
  continue
  }
  case 3:{
  if(u!==0)
  break
  if(v=r.uint32())
  m.memory_mib=v
  else
  delete m.memory_mib
  continue
  }
  case 4:{
  if(u!==0)
  break
  if(v=r.uint32())
  m.max_vcpus=v
  else
  delete m.max_vcpus
  continue
  }
  case 5:{
  if(u!==0)
  break
  if(v=r.sint32())
  m.max_evtchn_port=v
  else
  delete m.max_evtchn_port
  continue
  }
  }
  r.skipType(u,q,t)
  if(!r.discardUnknown){
  util.makeProp(m,"$unknowns",false);
  (m.$unknowns||(m.$unknowns=[])).push(r.raw(s,r.pos))
  }
  }
  if(l!==undefined){
  if(r.pos!==c)
  throw RangeError("index out of range")
  r.len=l
  }
  if(z!==undefined)
  throw Error("missing end group")
  return m
},
});
}
{
const types = [undefined, undefined, undefined];
const C = classOf({ domid: 0, unique_id: "", token: "" });
Object.assign(MESSAGES.DomctlCreated, {
encode: function (m,w,q){
  if(!w)
  w=Writer.create()
  if(q===undefined)q=0
  if(q>util.recursionLimit)
  throw Error("max depth exceeded")
  if(m.domid!=null&&Object.hasOwnProperty.call(m,"domid")&&m.domid!==0)
  w.uint32(8).uint32(m.domid)
  if(m.unique_id!=null&&Object.hasOwnProperty.call(m,"unique_id")&&m.unique_id!=="")
  w.uint32(18).string(m.unique_id)
  if(m.token!=null&&Object.hasOwnProperty.call(m,"token")&&m.token!=="")
  w.uint32(26).string(m.token)
  if(m.$unknowns!=null&&Object.hasOwnProperty.call(m,"$unknowns"))
  for(var i=0;i<m.$unknowns.length;++i)
  w.raw(m.$unknowns[i])
  return w
},
decode: function (r,l,z,q,g){
  if(!(r instanceof Reader))
  r=Reader.create(r)
  if(q===undefined)q=0
  if(q>Reader.recursionLimit)
  throw Error("max depth exceeded")
  var c,m,v
  if(l===undefined)
  c=r.len
  else{
  c=r.pos+l
  if(c>r.len)
  throw RangeError("index out of range")
  l=r.len
  r.len=c
  }
  m=g||new C
  while(r.pos<c){
  var s=r.pos
  var t=r.tag()
  if(t===z){
  z=undefined
  break
  }
  var u=t&7
  switch(t>>>=3){
  case 1:{
  if(u!==0)
  break
  if(v=r.uint32())
  m.domid=v
  else
  delete m.domid
  continue
  }
  case 2:{
  if(u!==2)
  break
  if((v=r.stringVerify()).length)
  m.unique_id=v
  else
  delete m.unique_id
  continue
  }
  case 3:{
  if(u!==2)
  break
  if((v=r.stringVerify()).length)
  m.token=v
  else
  delete m.token
  continue
  }
  }
  r.skipType(u,q,t)
  if(!r.discardUnknown){
  util.makeProp(m,"$unknowns",false);
  (m.$unknowns||(m.$unknowns=[])).push(r.raw(s,r.pos))
  }
  }
  if(l!==undefined){
  if(r.pos!==c)
  throw RangeError("index out of range")
  r.len=l
  }
  if(z!==undefined)
  throw Error("missing end group")
  return m
},
});
}
{
const types = [undefined];
const C = classOf({ domid: 0 });
Object.assign(MESSAGES.DomctlDomain, {
encode: function (m,w,q){
  if(!w)
  w=Writer.create()
  if(q===undefined)q=0
  if(q>util.recursionLimit)
  throw Error("max depth exceeded")
  if(m.domid!=null&&Object.hasOwnProperty.call(m,"domid")&&m.domid!==0)
  w.uint32(8).uint32(m.domid)
  if(m.$unknowns!=null&&Object.hasOwnProperty.call(m,"$unknowns"))
  for(var i=0;i<m.$unknowns.length;++i)
  w.raw(m.$unknowns[i])
  return w
},
decode: function (r,l,z,q,g){
  if(!(r instanceof Reader))
  r=Reader.create(r)
  if(q===undefined)q=0
  if(q>Reader.recursionLimit)
  throw Error("max depth exceeded")
  var c,m,v
  if(l===undefined)
  c=r.len
  else{
  c=r.pos+l
  if(c>r.len)
  throw RangeError("index out of range")
  l=r.len
  r.len=c
  }
  m=g||new C
  while(r.pos<c){
  var s=r.pos
  var t=r.tag()
  if(t===z){
  z=undefined
  break
  }
  var u=t&7
  switch(t>>>=3){
  case 1:{
  if(u!==0)
  break
  if(v=r.uint32())
  m.domid=v
  else
  delete m.domid
  continue
  }
  }
  r.skipType(u,q,t)
  if(!r.discardUnknown){
  util.makeProp(m,"$unknowns",false);
  (m.$unknowns||(m.$unknowns=[])).push(r.raw(s,r.pos))
  }
  }
  if(l!==undefined){
  if(r.pos!==c)
  throw RangeError("index out of range")
  r.len=l
  }
  if(z!==undefined)
  throw Error("missing end group")
  return m
},
});
}
{
const types = [undefined, undefined];
const C = classOf({ domid: 0, name: "" });
Object.assign(MESSAGES.DomctlRename, {
encode: function (m,w,q){
  if(!w)
  w=Writer.create()
  if(q===undefined)q=0
  if(q>util.recursionLimit)
  throw Error("max depth exceeded")
  if(m.domid!=null&&Object.hasOwnProperty.call(m,"domid")&&m.domid!==0)
  w.uint32(8).uint32(m.domid)
  if(m.name!=null&&Object.hasOwnProperty.call(m,"name")&&m.name!=="")
  w.uint32(18).string(m.name)
  if(m.$unknowns!=null&&Object.hasOwnProperty.call(m,"$unknowns"))
  for(var i=0;i<m.$unknowns.length;++i)
  w.raw(m.$unknowns[i])
  return w
},
decode: function (r,l,z,q,g){
  if(!(r instanceof Reader))
  r=Reader.create(r)
  if(q===undefined)q=0
  if(q>Reader.recursionLimit)
  throw Error("max depth exceeded")
  var c,m,v
  if(l===undefined)
  c=r.len
  else{
  c=r.pos+l
  if(c>r.len)
  throw RangeError("index out of range")
  l=r.len
  r.len=c
  }
  m=g||new C
  while(r.pos<c){
  var s=r.pos
  var t=r.tag()
  if(t===z){
  z=undefined
  break
  }
  var u=t&7
  switch(t>>>=3){
  case 1:{
  if(u!==0)
  break
  if(v=r.uint32())
  m.domid=v
  else
  delete m.domid
  continue
  }
  case 2:{
  if(u!==2)
  break
  if((v=r.stringVerify()).length)
  m.name=v
  else
  delete m.name
  continue
  }
  }
  r.skipType(u,q,t)
  if(!r.discardUnknown){
  util.makeProp(m,"$unknowns",false);
  (m.$unknowns||(m.$unknowns=[])).push(r.raw(s,r.pos))
  }
  }
  if(l!==undefined){
  if(r.pos!==c)
  throw RangeError("index out of range")
  r.len=l
  }
  if(z!==undefined)
  throw Error("missing end group")
  return m
},
});
}
{
const types = [undefined, undefined, undefined, undefined, undefined, undefined, undefined, undefined];
const C = classOf({ domid: 0, name: "", unique_id: "", memory_mib: 0, max_vcpus: 0, state: "", shutdown_reason: 0, attached: false });
Object.assign(MESSAGES.DomainInfo, {
encode: function (m,w,q){
  if(!w)
  w=Writer.create()
  if(q===undefined)q=0
  if(q>util.recursionLimit)
  throw Error("max depth exceeded")
  if(m.domid!=null&&Object.hasOwnProperty.call(m,"domid")&&m.domid!==0)
  w.uint32(8).uint32(m.domid)
  if(m.name!=null&&Object.hasOwnProperty.call(m,"name")&&m.name!=="")
  w.uint32(18).string(m.name)
  if(m.unique_id!=null&&Object.hasOwnProperty.call(m,"unique_id")&&m.unique_id!=="")
  w.uint32(26).string(m.unique_id)
  if(m.memory_mib!=null&&Object.hasOwnProperty.call(m,"memory_mib")&&m.memory_mib!==0)
  w.uint32(32).uint32(m.memory_mib)
  if(m.max_vcpus!=null&&Object.hasOwnProperty.call(m,"max_vcpus")&&m.max_vcpus!==0)
  w.uint32(40).uint32(m.max_vcpus)
  if(m.state!=null&&Object.hasOwnProperty.call(m,"state")&&m.state!=="")
  w.uint32(50).string(m.state)
  if(m.shutdown_reason!=null&&Object.hasOwnProperty.call(m,"shutdown_reason")&&m.shutdown_reason!==0)
  w.uint32(56).uint32(m.shutdown_reason)
  if(m.attached!=null&&Object.hasOwnProperty.call(m,"attached")&&m.attached!==false)
  w.uint32(64).bool(m.attached)
  if(m.$unknowns!=null&&Object.hasOwnProperty.call(m,"$unknowns"))
  for(var i=0;i<m.$unknowns.length;++i)
  w.raw(m.$unknowns[i])
  return w
},
decode: function (r,l,z,q,g){
  if(!(r instanceof Reader))
  r=Reader.create(r)
  if(q===undefined)q=0
  if(q>Reader.recursionLimit)
  throw Error("max depth exceeded")
  var c,m,v
  if(l===undefined)
  c=r.len
  else{
  c=r.pos+l
  if(c>r.len)
  throw RangeError("index out of range")
  l=r.len
  r.len=c
  }
  m=g||new C
  while(r.pos<c){
  var s=r.pos
  var t=r.tag()
  if(t===z){
  z=undefined
  break
  }
  var u=t&7
  switch(t>>>=3){
  case 1:{
  if(u!==0)
  break
  if(v=r.uint32())
  m.domid=v
  else
  delete m.domid
  continue
  }
  case 2:{
  if(u!==2)
  break
  if((v=r.stringVerify()).length)
  m.name=v
  else
  delete m.name
  continue
  }
  case 3:{
  if(u!==2)
  break
  if((v=r.stringVerify()).length)
  m.unique_id=v
  else
  delete m.unique_id
  continue
  }
  case 4:{
  if(u!==0)
  break
  if(v=r.uint32())
  m.memory_mib=v
  else
  delete m.memory_mib
  continue
  }
  case 5:{
  if(u!==0)
  break
  if(v=r.uint32())
  m.max_vcpus=v
  else
  delete m.max_vcpus
  continue
  }
  case 6:{
  if(u!==2)
  break
  if((v=r.stringVerify()).length)
  m.state=v
  else
  delete m.state
  continue
  }
  case 7:{
  if(u!==0)
  break
  if(v=r.uint32())
  m.shutdown_reason=v
  else
  delete m.shutdown_reason
  continue
  }
  case 8:{
  if(u!==0)
  break
  if(v=r.bool())
  m.attached=v
  else
  delete m.attached
  continue
  }
  }
  r.skipType(u,q,t)
  if(!r.discardUnknown){
  util.makeProp(m,"$unknowns",false);
  (m.$unknowns||(m.$unknowns=[])).push(r.raw(s,r.pos))
  }
  }
  if(l!==undefined){
  if(r.pos!==c)
  throw RangeError("index out of range")
  r.len=l
  }
  if(z!==undefined)
  throw Error("missing end group")
  return m
},
});
}
{
const types = [MESSAGES.DomainInfo];
const C = classOf({ domains: util.emptyArray });
Object.assign(MESSAGES.DomainInfoList, {
encode: function (m,w,q){
  if(!w)
  w=Writer.create()
  if(q===undefined)q=0
  if(q>util.recursionLimit)
  throw Error("max depth exceeded")
  if(m.domains!=null&&m.domains.length){
  for(var i=0;i<m.domains.length;++i)
  types[0].encode(m.domains[i],w.uint32(10).fork(),q+1).ldelim()
  }
  if(m.$unknowns!=null&&Object.hasOwnProperty.call(m,"$unknowns"))
  for(var i=0;i<m.$unknowns.length;++i)
  w.raw(m.$unknowns[i])
  return w
},
decode: function (r,l,z,q,g){
  if(!(r instanceof Reader))
  r=Reader.create(r)
  if(q===undefined)q=0
  if(q>Reader.recursionLimit)
  throw Error("max depth exceeded")
  var c,m
  if(l===undefined)
  c=r.len
  else{
  c=r.pos+l
  if(c>r.len)
  throw RangeError("index out of range")
  l=r.len
  r.len=c
  }
  m=g||new C
  while(r.pos<c){
  var s=r.pos
  var t=r.tag()
  if(t===z){
  z=undefined
  break
  }
  var u=t&7
  switch(t>>>=3){
  case 1:
  {
  if(u!==2)
  break
  if(!(m.domains&&m.domains.length))
  m.domains=[]
  m.domains.push(types[0].decode(r,r.size(),undefined,q+1))
  continue
  }
  }
  r.skipType(u,q,t)
  if(!r.discardUnknown){
  util.makeProp(m,"$unknowns",false);
  (m.$unknowns||(m.$unknowns=[])).push(r.raw(s,r.pos))
  }
  }
  if(l!==undefined){
  if(r.pos!==c)
  throw RangeError("index out of range")
  r.len=l
  }
  if(z!==undefined)
  throw Error("missing end group")
  return m
},
});
}
{
const types = [undefined, undefined, undefined, undefined];
const C = classOf({ domid: 0, state: 0, caps: 0, unique_id: "" });
Object.assign(MESSAGES.DomainState, {
encode: function (m,w,q){
  if(!w)
  w=Writer.create()
  if(q===undefined)q=0
  if(q>util.recursionLimit)
  throw Error("max depth exceeded")
  if(m.domid!=null&&Object.hasOwnProperty.call(m,"domid")&&m.domid!==0)
  w.uint32(8).uint32(m.domid)
  if(m.state!=null&&Object.hasOwnProperty.call(m,"state")&&m.state!==0)
  w.uint32(16).uint32(m.state)
  if(m.caps!=null&&Object.hasOwnProperty.call(m,"caps")&&m.caps!==0)
  w.uint32(24).uint32(m.caps)
  if(m.unique_id!=null&&Object.hasOwnProperty.call(m,"unique_id")&&m.unique_id!=="")
  w.uint32(34).string(m.unique_id)
  if(m.$unknowns!=null&&Object.hasOwnProperty.call(m,"$unknowns"))
  for(var i=0;i<m.$unknowns.length;++i)
  w.raw(m.$unknowns[i])
  return w
},
decode: function (r,l,z,q,g){
  if(!(r instanceof Reader))
  r=Reader.create(r)
  if(q===undefined)q=0
  if(q>Reader.recursionLimit)
  throw Error("max depth exceeded")
  var c,m,v
  if(l===undefined)
  c=r.len
  else{
  c=r.pos+l
  if(c>r.len)
  throw RangeError("index out of range")
  l=r.len
  r.len=c
  }
  m=g||new C
  while(r.pos<c){
  var s=r.pos
  var t=r.tag()
  if(t===z){
  z=undefined
  break
  }
  var u=t&7
  switch(t>>>=3){
  case 1:{
  if(u!==0)
  break
  if(v=r.uint32())
  m.domid=v
  else
  delete m.domid
  continue
  }
  case 2:{
  if(u!==0)
  break
  if(v=r.uint32())
  m.state=v
  else
  delete m.state
  continue
  }
  case 3:{
  if(u!==0)
  break
  if(v=r.uint32())
  m.caps=v
  else
  delete m.caps
  continue
  }
  case 4:{
  if(u!==2)
  break
  if((v=r.stringVerify()).length)
  m.unique_id=v
  else
  delete m.unique_id
  continue
  }
  }
  r.skipType(u,q,t)
  if(!r.discardUnknown){
  util.makeProp(m,"$unknowns",false);
  (m.$unknowns||(m.$unknowns=[])).push(r.raw(s,r.pos))
  }
  }
  if(l!==undefined){
  if(r.pos!==c)
  throw RangeError("index out of range")
  r.len=l
  }
  if(z!==undefined)
  throw Error("missing end group")
  return m
},
});
}
{
const types = [undefined, undefined, undefined];
const C = classOf({ domid: 0, index: 0, value: 0 });
Object.assign(MESSAGES.HvmParam, {
encode: function (m,w,q){
  if(!w)
  w=Writer.create()
  if(q===undefined)q=0
  if(q>util.recursionLimit)
  throw Error("max depth exceeded")
  if(m.domid!=null&&Object.hasOwnProperty.call(m,"domid")&&m.domid!==0)
  w.uint32(8).uint32(m.domid)
  if(m.index!=null&&Object.hasOwnProperty.call(m,"index")&&m.index!==0)
  w.uint32(16).uint32(m.index)
  if(m.value!=null&&Object.hasOwnProperty.call(m,"value")&&(typeof m.value==="object"?m.value.low||m.value.high:m.value!==0))
  w.uint32(24).uint64(m.value)
  if(m.$unknowns!=null&&Object.hasOwnProperty.call(m,"$unknowns"))
  for(var i=0;i<m.$unknowns.length;++i)
  w.raw(m.$unknowns[i])
  return w
},
decode: function (r,l,z,q,g){
  if(!(r instanceof Reader))
  r=Reader.create(r)
  if(q===undefined)q=0
  if(q>Reader.recursionLimit)
  throw Error("max depth exceeded")
  var c,m,v
  if(l===undefined)
  c=r.len
  else{
  c=r.pos+l
  if(c>r.len)
  throw RangeError("index out of range")
  l=r.len
  r.len=c
  }
  m=g||new C
  while(r.pos<c){
  var s=r.pos
  var t=r.tag()
  if(t===z){
  z=undefined
  break
  }
  var u=t&7
  switch(t>>>=3){
  case 1:{
  if(u!==0)
  break
  if(v=r.uint32())
  m.domid=v
  else
  delete m.domid
  continue
  }
  case 2:{
  if(u!==0)
  break
  if(v=r.uint32())
  m.index=v
  else
  delete m.index
  continue
  }
  case 3:{
  if(u!==0)
  break
  if(typeof(v=r.uint64())==="object"?v.low||v.high:v!==0)
  m.value=v
  else
  delete m.value
  continue
  }
  }
  r.skipType(u,q,t)
  if(!r.discardUnknown){
  util.makeProp(m,"$unknowns",false);
  (m.$unknowns||(m.$unknowns=[])).push(r.raw(s,r.pos))
  }
  }
  if(l!==undefined){
  if(r.pos!==c)
  throw RangeError("index out of range")
  r.len=l
  }
  if(z!==undefined)
  throw Error("missing end group")
  return m
},
});
}
{
const types = [undefined];
const C = classOf({ token: "" });
Object.assign(MESSAGES.Token, {
encode: function (m,w,q){
  if(!w)
  w=Writer.create()
  if(q===undefined)q=0
  if(q>util.recursionLimit)
  throw Error("max depth exceeded")
  if(m.token!=null&&Object.hasOwnProperty.call(m,"token")&&m.token!=="")
  w.uint32(10).string(m.token)
  if(m.$unknowns!=null&&Object.hasOwnProperty.call(m,"$unknowns"))
  for(var i=0;i<m.$unknowns.length;++i)
  w.raw(m.$unknowns[i])
  return w
},
decode: function (r,l,z,q,g){
  if(!(r instanceof Reader))
  r=Reader.create(r)
  if(q===undefined)q=0
  if(q>Reader.recursionLimit)
  throw Error("max depth exceeded")
  var c,m,v
  if(l===undefined)
  c=r.len
  else{
  c=r.pos+l
  if(c>r.len)
  throw RangeError("index out of range")
  l=r.len
  r.len=c
  }
  m=g||new C
  while(r.pos<c){
  var s=r.pos
  var t=r.tag()
  if(t===z){
  z=undefined
  break
  }
  var u=t&7
  switch(t>>>=3){
  case 1:{
  if(u!==2)
  break
  if((v=r.stringVerify()).length)
  m.token=v
  else
  delete m.token
  continue
  }
  }
  r.skipType(u,q,t)
  if(!r.discardUnknown){
  util.makeProp(m,"$unknowns",false);
  (m.$unknowns||(m.$unknowns=[])).push(r.raw(s,r.pos))
  }
  }
  if(l!==undefined){
  if(r.pos!==c)
  throw RangeError("index out of range")
  r.len=l
  }
  if(z!==undefined)
  throw Error("missing end group")
  return m
},
});
}
{
const types = [undefined, undefined];
const C = classOf({ dom: 0, remote_dom: 0 });
Object.assign(MESSAGES.EvtchnAllocUnbound, {
encode: function (m,w,q){
  if(!w)
  w=Writer.create()
  if(q===undefined)q=0
  if(q>util.recursionLimit)
  throw Error("max depth exceeded")
  if(m.dom!=null&&Object.hasOwnProperty.call(m,"dom")&&m.dom!==0)
  w.uint32(8).uint32(m.dom)
  if(m.remote_dom!=null&&Object.hasOwnProperty.call(m,"remote_dom")&&m.remote_dom!==0)
  w.uint32(16).uint32(m.remote_dom)
  if(m.$unknowns!=null&&Object.hasOwnProperty.call(m,"$unknowns"))
  for(var i=0;i<m.$unknowns.length;++i)
  w.raw(m.$unknowns[i])
  return w
},
decode: function (r,l,z,q,g){
  if(!(r instanceof Reader))
  r=Reader.create(r)
  if(q===undefined)q=0
  if(q>Reader.recursionLimit)
  throw Error("max depth exceeded")
  var c,m,v
  if(l===undefined)
  c=r.len
  else{
  c=r.pos+l
  if(c>r.len)
  throw RangeError("index out of range")
  l=r.len
  r.len=c
  }
  m=g||new C
  while(r.pos<c){
  var s=r.pos
  var t=r.tag()
  if(t===z){
  z=undefined
  break
  }
  var u=t&7
  switch(t>>>=3){
  case 1:{
  if(u!==0)
  break
  if(v=r.uint32())
  m.dom=v
  else
  delete m.dom
  continue
  }
  case 2:{
  if(u!==0)
  break
  if(v=r.uint32())
  m.remote_dom=v
  else
  delete m.remote_dom
  continue
  }
  }
  r.skipType(u,q,t)
  if(!r.discardUnknown){
  util.makeProp(m,"$unknowns",false);
  (m.$unknowns||(m.$unknowns=[])).push(r.raw(s,r.pos))
  }
  }
  if(l!==undefined){
  if(r.pos!==c)
  throw RangeError("index out of range")
  r.len=l
  }
  if(z!==undefined)
  throw Error("missing end group")
  return m
},
});
}
{
const types = [undefined, undefined];
const C = classOf({ remote_dom: 0, remote_port: 0 });
Object.assign(MESSAGES.EvtchnBindInterdomain, {
encode: function (m,w,q){
  if(!w)
  w=Writer.create()
  if(q===undefined)q=0
  if(q>util.recursionLimit)
  throw Error("max depth exceeded")
  if(m.remote_dom!=null&&Object.hasOwnProperty.call(m,"remote_dom")&&m.remote_dom!==0)
  w.uint32(8).uint32(m.remote_dom)
  if(m.remote_port!=null&&Object.hasOwnProperty.call(m,"remote_port")&&m.remote_port!==0)
  w.uint32(16).uint32(m.remote_port)
  if(m.$unknowns!=null&&Object.hasOwnProperty.call(m,"$unknowns"))
  for(var i=0;i<m.$unknowns.length;++i)
  w.raw(m.$unknowns[i])
  return w
},
decode: function (r,l,z,q,g){
  if(!(r instanceof Reader))
  r=Reader.create(r)
  if(q===undefined)q=0
  if(q>Reader.recursionLimit)
  throw Error("max depth exceeded")
  var c,m,v
  if(l===undefined)
  c=r.len
  else{
  c=r.pos+l
  if(c>r.len)
  throw RangeError("index out of range")
  l=r.len
  r.len=c
  }
  m=g||new C
  while(r.pos<c){
  var s=r.pos
  var t=r.tag()
  if(t===z){
  z=undefined
  break
  }
  var u=t&7
  switch(t>>>=3){
  case 1:{
  if(u!==0)
  break
  if(v=r.uint32())
  m.remote_dom=v
  else
  delete m.remote_dom
  continue
  }
  case 2:{
  if(u!==0)
  break
  if(v=r.uint32())
  m.remote_port=v
  else
  delete m.remote_port
  continue
  }
  }
  r.skipType(u,q,t)
  if(!r.discardUnknown){
  util.makeProp(m,"$unknowns",false);
  (m.$unknowns||(m.$unknowns=[])).push(r.raw(s,r.pos))
  }
  }
  if(l!==undefined){
  if(r.pos!==c)
  throw RangeError("index out of range")
  r.len=l
  }
  if(z!==undefined)
  throw Error("missing end group")
  return m
},
});
}
{
const types = [undefined, undefined];
const C = classOf({ virq: 0, vcpu: 0 });
Object.assign(MESSAGES.EvtchnBindVirq, {
encode: function (m,w,q){
  if(!w)
  w=Writer.create()
  if(q===undefined)q=0
  if(q>util.recursionLimit)
  throw Error("max depth exceeded")
  if(m.virq!=null&&Object.hasOwnProperty.call(m,"virq")&&m.virq!==0)
  w.uint32(8).uint32(m.virq)
  if(m.vcpu!=null&&Object.hasOwnProperty.call(m,"vcpu")&&m.vcpu!==0)
  w.uint32(16).uint32(m.vcpu)
  if(m.$unknowns!=null&&Object.hasOwnProperty.call(m,"$unknowns"))
  for(var i=0;i<m.$unknowns.length;++i)
  w.raw(m.$unknowns[i])
  return w
},
decode: function (r,l,z,q,g){
  if(!(r instanceof Reader))
  r=Reader.create(r)
  if(q===undefined)q=0
  if(q>Reader.recursionLimit)
  throw Error("max depth exceeded")
  var c,m,v
  if(l===undefined)
  c=r.len
  else{
  c=r.pos+l
  if(c>r.len)
  throw RangeError("index out of range")
  l=r.len
  r.len=c
  }
  m=g||new C
  while(r.pos<c){
  var s=r.pos
  var t=r.tag()
  if(t===z){
  z=undefined
  break
  }
  var u=t&7
  switch(t>>>=3){
  case 1:{
  if(u!==0)
  break
  if(v=r.uint32())
  m.virq=v
  else
  delete m.virq
  continue
  }
  case 2:{
  if(u!==0)
  break
  if(v=r.uint32())
  m.vcpu=v
  else
  delete m.vcpu
  continue
  }
  }
  r.skipType(u,q,t)
  if(!r.discardUnknown){
  util.makeProp(m,"$unknowns",false);
  (m.$unknowns||(m.$unknowns=[])).push(r.raw(s,r.pos))
  }
  }
  if(l!==undefined){
  if(r.pos!==c)
  throw RangeError("index out of range")
  r.len=l
  }
  if(z!==undefined)
  throw Error("missing end group")
  return m
},
});
}
{
const types = [undefined];
const C = classOf({ vcpu: 0 });
Object.assign(MESSAGES.EvtchnBindIpi, {
encode: function (m,w,q){
  if(!w)
  w=Writer.create()
  if(q===undefined)q=0
  if(q>util.recursionLimit)
  throw Error("max depth exceeded")
  if(m.vcpu!=null&&Object.hasOwnProperty.call(m,"vcpu")&&m.vcpu!==0)
  w.uint32(8).uint32(m.vcpu)
  if(m.$unknowns!=null&&Object.hasOwnProperty.call(m,"$unknowns"))
  for(var i=0;i<m.$unknowns.length;++i)
  w.raw(m.$unknowns[i])
  return w
},
decode: function (r,l,z,q,g){
  if(!(r instanceof Reader))
  r=Reader.create(r)
  if(q===undefined)q=0
  if(q>Reader.recursionLimit)
  throw Error("max depth exceeded")
  var c,m,v
  if(l===undefined)
  c=r.len
  else{
  c=r.pos+l
  if(c>r.len)
  throw RangeError("index out of range")
  l=r.len
  r.len=c
  }
  m=g||new C
  while(r.pos<c){
  var s=r.pos
  var t=r.tag()
  if(t===z){
  z=undefined
  break
  }
  var u=t&7
  switch(t>>>=3){
  case 1:{
  if(u!==0)
  break
  if(v=r.uint32())
  m.vcpu=v
  else
  delete m.vcpu
  continue
  }
  }
  r.skipType(u,q,t)
  if(!r.discardUnknown){
  util.makeProp(m,"$unknowns",false);
  (m.$unknowns||(m.$unknowns=[])).push(r.raw(s,r.pos))
  }
  }
  if(l!==undefined){
  if(r.pos!==c)
  throw RangeError("index out of range")
  r.len=l
  }
  if(z!==undefined)
  throw Error("missing end group")
  return m
},
});
}
{
const types = [undefined];
const C = classOf({ port: 0 });
Object.assign(MESSAGES.EvtchnPortArg, {
encode: function (m,w,q){
  if(!w)
  w=Writer.create()
  if(q===undefined)q=0
  if(q>util.recursionLimit)
  throw Error("max depth exceeded")
  if(m.port!=null&&Object.hasOwnProperty.call(m,"port")&&m.port!==0)
  w.uint32(8).uint32(m.port)
  if(m.$unknowns!=null&&Object.hasOwnProperty.call(m,"$unknowns"))
  for(var i=0;i<m.$unknowns.length;++i)
  w.raw(m.$unknowns[i])
  return w
},
decode: function (r,l,z,q,g){
  if(!(r instanceof Reader))
  r=Reader.create(r)
  if(q===undefined)q=0
  if(q>Reader.recursionLimit)
  throw Error("max depth exceeded")
  var c,m,v
  if(l===undefined)
  c=r.len
  else{
  c=r.pos+l
  if(c>r.len)
  throw RangeError("index out of range")
  l=r.len
  r.len=c
  }
  m=g||new C
  while(r.pos<c){
  var s=r.pos
  var t=r.tag()
  if(t===z){
  z=undefined
  break
  }
  var u=t&7
  switch(t>>>=3){
  case 1:{
  if(u!==0)
  break
  if(v=r.uint32())
  m.port=v
  else
  delete m.port
  continue
  }
  }
  r.skipType(u,q,t)
  if(!r.discardUnknown){
  util.makeProp(m,"$unknowns",false);
  (m.$unknowns||(m.$unknowns=[])).push(r.raw(s,r.pos))
  }
  }
  if(l!==undefined){
  if(r.pos!==c)
  throw RangeError("index out of range")
  r.len=l
  }
  if(z!==undefined)
  throw Error("missing end group")
  return m
},
});
}
{
const types = [undefined];
const C = classOf({ local_port: 0 });
Object.assign(MESSAGES.EvtchnLocalPort, {
encode: function (m,w,q){
  if(!w)
  w=Writer.create()
  if(q===undefined)q=0
  if(q>util.recursionLimit)
  throw Error("max depth exceeded")
  if(m.local_port!=null&&Object.hasOwnProperty.call(m,"local_port")&&m.local_port!==0)
  w.uint32(8).uint32(m.local_port)
  if(m.$unknowns!=null&&Object.hasOwnProperty.call(m,"$unknowns"))
  for(var i=0;i<m.$unknowns.length;++i)
  w.raw(m.$unknowns[i])
  return w
},
decode: function (r,l,z,q,g){
  if(!(r instanceof Reader))
  r=Reader.create(r)
  if(q===undefined)q=0
  if(q>Reader.recursionLimit)
  throw Error("max depth exceeded")
  var c,m,v
  if(l===undefined)
  c=r.len
  else{
  c=r.pos+l
  if(c>r.len)
  throw RangeError("index out of range")
  l=r.len
  r.len=c
  }
  m=g||new C
  while(r.pos<c){
  var s=r.pos
  var t=r.tag()
  if(t===z){
  z=undefined
  break
  }
  var u=t&7
  switch(t>>>=3){
  case 1:{
  if(u!==0)
  break
  if(v=r.uint32())
  m.local_port=v
  else
  delete m.local_port
  continue
  }
  }
  r.skipType(u,q,t)
  if(!r.discardUnknown){
  util.makeProp(m,"$unknowns",false);
  (m.$unknowns||(m.$unknowns=[])).push(r.raw(s,r.pos))
  }
  }
  if(l!==undefined){
  if(r.pos!==c)
  throw RangeError("index out of range")
  r.len=l
  }
  if(z!==undefined)
  throw Error("missing end group")
  return m
},
});
}
{
const types = [undefined, undefined];
const C = classOf({ dom: 0, port: 0 });
Object.assign(MESSAGES.EvtchnStatus, {
encode: function (m,w,q){
  if(!w)
  w=Writer.create()
  if(q===undefined)q=0
  if(q>util.recursionLimit)
  throw Error("max depth exceeded")
  if(m.dom!=null&&Object.hasOwnProperty.call(m,"dom")&&m.dom!==0)
  w.uint32(8).uint32(m.dom)
  if(m.port!=null&&Object.hasOwnProperty.call(m,"port")&&m.port!==0)
  w.uint32(16).uint32(m.port)
  if(m.$unknowns!=null&&Object.hasOwnProperty.call(m,"$unknowns"))
  for(var i=0;i<m.$unknowns.length;++i)
  w.raw(m.$unknowns[i])
  return w
},
decode: function (r,l,z,q,g){
  if(!(r instanceof Reader))
  r=Reader.create(r)
  if(q===undefined)q=0
  if(q>Reader.recursionLimit)
  throw Error("max depth exceeded")
  var c,m,v
  if(l===undefined)
  c=r.len
  else{
  c=r.pos+l
  if(c>r.len)
  throw RangeError("index out of range")
  l=r.len
  r.len=c
  }
  m=g||new C
  while(r.pos<c){
  var s=r.pos
  var t=r.tag()
  if(t===z){
  z=undefined
  break
  }
  var u=t&7
  switch(t>>>=3){
  case 1:{
  if(u!==0)
  break
  if(v=r.uint32())
  m.dom=v
  else
  delete m.dom
  continue
  }
  case 2:{
  if(u!==0)
  break
  if(v=r.uint32())
  m.port=v
  else
  delete m.port
  continue
  }
  }
  r.skipType(u,q,t)
  if(!r.discardUnknown){
  util.makeProp(m,"$unknowns",false);
  (m.$unknowns||(m.$unknowns=[])).push(r.raw(s,r.pos))
  }
  }
  if(l!==undefined){
  if(r.pos!==c)
  throw RangeError("index out of range")
  r.len=l
  }
  if(z!==undefined)
  throw Error("missing end group")
  return m
},
});
}
{
const types = [undefined, undefined, undefined, undefined, undefined, undefined];
const C = classOf({ status: 0, vcpu: 0, dom: 0, port: 0, pirq: 0, virq: 0 });
Object.assign(MESSAGES.EvtchnStatusReply, {
encode: function (m,w,q){
  if(!w)
  w=Writer.create()
  if(q===undefined)q=0
  if(q>util.recursionLimit)
  throw Error("max depth exceeded")
  if(m.status!=null&&Object.hasOwnProperty.call(m,"status")&&m.status!==0)
  w.uint32(8).uint32(m.status)
  if(m.vcpu!=null&&Object.hasOwnProperty.call(m,"vcpu")&&m.vcpu!==0)
  w.uint32(16).uint32(m.vcpu)
  if(m.dom!=null&&Object.hasOwnProperty.call(m,"dom")&&m.dom!==0)
  w.uint32(24).uint32(m.dom)
  if(m.port!=null&&Object.hasOwnProperty.call(m,"port")&&m.port!==0)
  w.uint32(32).uint32(m.port)
  if(m.pirq!=null&&Object.hasOwnProperty.call(m,"pirq")&&m.pirq!==0)
  w.uint32(40).uint32(m.pirq)
  if(m.virq!=null&&Object.hasOwnProperty.call(m,"virq")&&m.virq!==0)
  w.uint32(48).uint32(m.virq)
  if(m.$unknowns!=null&&Object.hasOwnProperty.call(m,"$unknowns"))
  for(var i=0;i<m.$unknowns.length;++i)
  w.raw(m.$unknowns[i])
  return w
},
decode: function (r,l,z,q,g){
  if(!(r instanceof Reader))
  r=Reader.create(r)
  if(q===undefined)q=0
  if(q>Reader.recursionLimit)
  throw Error("max depth exceeded")
  var c,m,v
  if(l===undefined)
  c=r.len
  else{
  c=r.pos+l
  if(c>r.len)
  throw RangeError("index out of range")
  l=r.len
  r.len=c
  }
  m=g||new C
  while(r.pos<c){
  var s=r.pos
  var t=r.tag()
  if(t===z){
  z=undefined
  break
  }
  var u=t&7
  switch(t>>>=3){
  case 1:{
  if(u!==0)
  break
  if(v=r.uint32())
  m.status=v
  else
  delete m.status
  continue
  }
  case 2:{
  if(u!==0)
  break
  if(v=r.uint32())
  m.vcpu=v
  else
  delete m.vcpu
  continue
  }
  case 3:{
  if(u!==0)
  break
  if(v=r.uint32())
  m.dom=v
  else
  delete m.dom
  continue
  }
  case 4:{
  if(u!==0)
  break
  if(v=r.uint32())
  m.port=v
  else
  delete m.port
  continue
  }
  case 5:{
  if(u!==0)
  break
  if(v=r.uint32())
  m.pirq=v
  else
  delete m.pirq
  continue
  }
  case 6:{
  if(u!==0)
  break
  if(v=r.uint32())
  m.virq=v
  else
  delete m.virq
  continue
  }
  }
  r.skipType(u,q,t)
  if(!r.discardUnknown){
  util.makeProp(m,"$unknowns",false);
  (m.$unknowns||(m.$unknowns=[])).push(r.raw(s,r.pos))
  }
  }
  if(l!==undefined){
  if(r.pos!==c)
  throw RangeError("index out of range")
  r.len=l
  }
  if(z!==undefined)
  throw Error("missing end group")
  return m
},
});
}
{
const types = [undefined, undefined];
const C = classOf({ port: 0, vcpu: 0 });
Object.assign(MESSAGES.EvtchnBindVcpu, {
encode: function (m,w,q){
  if(!w)
  w=Writer.create()
  if(q===undefined)q=0
  if(q>util.recursionLimit)
  throw Error("max depth exceeded")
  if(m.port!=null&&Object.hasOwnProperty.call(m,"port")&&m.port!==0)
  w.uint32(8).uint32(m.port)
  if(m.vcpu!=null&&Object.hasOwnProperty.call(m,"vcpu")&&m.vcpu!==0)
  w.uint32(16).uint32(m.vcpu)
  if(m.$unknowns!=null&&Object.hasOwnProperty.call(m,"$unknowns"))
  for(var i=0;i<m.$unknowns.length;++i)
  w.raw(m.$unknowns[i])
  return w
},
decode: function (r,l,z,q,g){
  if(!(r instanceof Reader))
  r=Reader.create(r)
  if(q===undefined)q=0
  if(q>Reader.recursionLimit)
  throw Error("max depth exceeded")
  var c,m,v
  if(l===undefined)
  c=r.len
  else{
  c=r.pos+l
  if(c>r.len)
  throw RangeError("index out of range")
  l=r.len
  r.len=c
  }
  m=g||new C
  while(r.pos<c){
  var s=r.pos
  var t=r.tag()
  if(t===z){
  z=undefined
  break
  }
  var u=t&7
  switch(t>>>=3){
  case 1:{
  if(u!==0)
  break
  if(v=r.uint32())
  m.port=v
  else
  delete m.port
  continue
  }
  case 2:{
  if(u!==0)
  break
  if(v=r.uint32())
  m.vcpu=v
  else
  delete m.vcpu
  continue
  }
  }
  r.skipType(u,q,t)
  if(!r.discardUnknown){
  util.makeProp(m,"$unknowns",false);
  (m.$unknowns||(m.$unknowns=[])).push(r.raw(s,r.pos))
  }
  }
  if(l!==undefined){
  if(r.pos!==c)
  throw RangeError("index out of range")
  r.len=l
  }
  if(z!==undefined)
  throw Error("missing end group")
  return m
},
});
}
{
const types = [undefined];
const C = classOf({ dom: 0 });
Object.assign(MESSAGES.EvtchnReset, {
encode: function (m,w,q){
  if(!w)
  w=Writer.create()
  if(q===undefined)q=0
  if(q>util.recursionLimit)
  throw Error("max depth exceeded")
  if(m.dom!=null&&Object.hasOwnProperty.call(m,"dom")&&m.dom!==0)
  w.uint32(8).uint32(m.dom)
  if(m.$unknowns!=null&&Object.hasOwnProperty.call(m,"$unknowns"))
  for(var i=0;i<m.$unknowns.length;++i)
  w.raw(m.$unknowns[i])
  return w
},
decode: function (r,l,z,q,g){
  if(!(r instanceof Reader))
  r=Reader.create(r)
  if(q===undefined)q=0
  if(q>Reader.recursionLimit)
  throw Error("max depth exceeded")
  var c,m,v
  if(l===undefined)
  c=r.len
  else{
  c=r.pos+l
  if(c>r.len)
  throw RangeError("index out of range")
  l=r.len
  r.len=c
  }
  m=g||new C
  while(r.pos<c){
  var s=r.pos
  var t=r.tag()
  if(t===z){
  z=undefined
  break
  }
  var u=t&7
  switch(t>>>=3){
  case 1:{
  if(u!==0)
  break
  if(v=r.uint32())
  m.dom=v
  else
  delete m.dom
  continue
  }
  }
  r.skipType(u,q,t)
  if(!r.discardUnknown){
  util.makeProp(m,"$unknowns",false);
  (m.$unknowns||(m.$unknowns=[])).push(r.raw(s,r.pos))
  }
  }
  if(l!==undefined){
  if(r.pos!==c)
  throw RangeError("index out of range")
  r.len=l
  }
  if(z!==undefined)
  throw Error("missing end group")
  return m
},
});
}
{
const types = [MESSAGES.BellHandle, MESSAGES.BellHandle];
const C = classOf({ entry: null, upcall: null });
Object.assign(MESSAGES.GuestAttach, {
encode: function (m,w,q){
  if(!w)
  w=Writer.create()
  if(q===undefined)q=0
  if(q>util.recursionLimit)
  throw Error("max depth exceeded")
  if(m.entry!=null&&Object.hasOwnProperty.call(m,"entry"))
  types[0].encode(m.entry,w.uint32(10).fork(),q+1).ldelim()
  if(m.upcall!=null&&Object.hasOwnProperty.call(m,"upcall"))
  types[1].encode(m.upcall,w.uint32(18).fork(),q+1).ldelim()
  if(m.$unknowns!=null&&Object.hasOwnProperty.call(m,"$unknowns"))
  for(var i=0;i<m.$unknowns.length;++i)
  w.raw(m.$unknowns[i])
  return w
},
decode: function (r,l,z,q,g){
  if(!(r instanceof Reader))
  r=Reader.create(r)
  if(q===undefined)q=0
  if(q>Reader.recursionLimit)
  throw Error("max depth exceeded")
  var c,m,v
  if(l===undefined)
  c=r.len
  else{
  c=r.pos+l
  if(c>r.len)
  throw RangeError("index out of range")
  l=r.len
  r.len=c
  }
  m=g||new C
  while(r.pos<c){
  var s=r.pos
  var t=r.tag()
  if(t===z){
  z=undefined
  break
  }
  var u=t&7
  switch(t>>>=3){
  case 1:{
  if(u!==2)
  break
  m.entry=types[0].decode(r,r.size(),undefined,q+1,m.entry)
  continue
  }
  case 2:{
  if(u!==2)
  break
  m.upcall=types[1].decode(r,r.size(),undefined,q+1,m.upcall)
  continue
  }
  }
  r.skipType(u,q,t)
  if(!r.discardUnknown){
  util.makeProp(m,"$unknowns",false);
  (m.$unknowns||(m.$unknowns=[])).push(r.raw(s,r.pos))
  }
  }
  if(l!==undefined){
  if(r.pos!==c)
  throw RangeError("index out of range")
  r.len=l
  }
  if(z!==undefined)
  throw Error("missing end group")
  return m
},
});
}
{
const types = [undefined, undefined, MESSAGES.FileHandle, MESSAGES.FileHandle, MESSAGES.FileHandle, MESSAGES.BellHandle, undefined, undefined, MESSAGES.FileHandle];
const C = classOf({ domid: 0, unique_id: "", ram: null, shared_info: null, vcpu: null, exit: null, store_port: 0, console_port: 0, direct: null });
Object.assign(MESSAGES.GuestPages, {
encode: function (m,w,q){
  if(!w)
  w=Writer.create()
  if(q===undefined)q=0
  if(q>util.recursionLimit)
  throw Error("max depth exceeded")
  if(m.domid!=null&&Object.hasOwnProperty.call(m,"domid")&&m.domid!==0)
  w.uint32(8).uint32(m.domid)
  if(m.unique_id!=null&&Object.hasOwnProperty.call(m,"unique_id")&&m.unique_id!=="")
  w.uint32(18).string(m.unique_id)
  if(m.ram!=null&&Object.hasOwnProperty.call(m,"ram"))
  types[2].encode(m.ram,w.uint32(26).fork(),q+1).ldelim()
  if(m.shared_info!=null&&Object.hasOwnProperty.call(m,"shared_info"))
  types[3].encode(m.shared_info,w.uint32(34).fork(),q+1).ldelim()
  if(m.vcpu!=null&&Object.hasOwnProperty.call(m,"vcpu"))
  types[4].encode(m.vcpu,w.uint32(42).fork(),q+1).ldelim()
  if(m.exit!=null&&Object.hasOwnProperty.call(m,"exit"))
  types[5].encode(m.exit,w.uint32(50).fork(),q+1).ldelim()
  if(m.store_port!=null&&Object.hasOwnProperty.call(m,"store_port")&&m.store_port!==0)
  w.uint32(56).uint32(m.store_port)
  if(m.console_port!=null&&Object.hasOwnProperty.call(m,"console_port")&&m.console_port!==0)
  w.uint32(64).uint32(m.console_port)
  if(m.direct!=null&&Object.hasOwnProperty.call(m,"direct"))
  types[8].encode(m.direct,w.uint32(74).fork(),q+1).ldelim()
  if(m.$unknowns!=null&&Object.hasOwnProperty.call(m,"$unknowns"))
  for(var i=0;i<m.$unknowns.length;++i)
  w.raw(m.$unknowns[i])
  return w
},
decode: function (r,l,z,q,g){
  if(!(r instanceof Reader))
  r=Reader.create(r)
  if(q===undefined)q=0
  if(q>Reader.recursionLimit)
  throw Error("max depth exceeded")
  var c,m,v
  if(l===undefined)
  c=r.len
  else{
  c=r.pos+l
  if(c>r.len)
  throw RangeError("index out of range")
  l=r.len
  r.len=c
  }
  m=g||new C
  while(r.pos<c){
  var s=r.pos
  var t=r.tag()
  if(t===z){
  z=undefined
  break
  }
  var u=t&7
  switch(t>>>=3){
  case 1:{
  if(u!==0)
  break
  if(v=r.uint32())
  m.domid=v
  else
  delete m.domid
  continue
  }
  case 2:{
  if(u!==2)
  break
  if((v=r.stringVerify()).length)
  m.unique_id=v
  else
  delete m.unique_id
  continue
  }
  case 3:{
  if(u!==2)
  break
  m.ram=types[2].decode(r,r.size(),undefined,q+1,m.ram)
  continue
  }
  case 4:{
  if(u!==2)
  break
  m.shared_info=types[3].decode(r,r.size(),undefined,q+1,m.shared_info)
  continue
  }
  case 5:{
  if(u!==2)
  break
  m.vcpu=types[4].decode(r,r.size(),undefined,q+1,m.vcpu)
  continue
  }
  case 6:{
  if(u!==2)
  break
  m.exit=types[5].decode(r,r.size(),undefined,q+1,m.exit)
  continue
  }
  case 7:{
  if(u!==0)
  break
  if(v=r.uint32())
  m.store_port=v
  else
  delete m.store_port
  continue
  }
  case 8:{
  if(u!==0)
  break
  if(v=r.uint32())
  m.console_port=v
  else
  delete m.console_port
  continue
  }
  case 9:{
  if(u!==2)
  break
  m.direct=types[8].decode(r,r.size(),undefined,q+1,m.direct)
  continue
  }
  }
  r.skipType(u,q,t)
  if(!r.discardUnknown){
  util.makeProp(m,"$unknowns",false);
  (m.$unknowns||(m.$unknowns=[])).push(r.raw(s,r.pos))
  }
  }
  if(l!==undefined){
  if(r.pos!==c)
  throw RangeError("index out of range")
  r.len=l
  }
  if(z!==undefined)
  throw Error("missing end group")
  return m
},
});
}
{
const types = [undefined];
const C = classOf({ reason: 0 });
Object.assign(MESSAGES.SchedShutdown, {
encode: function (m,w,q){
  if(!w)
  w=Writer.create()
  if(q===undefined)q=0
  if(q>util.recursionLimit)
  throw Error("max depth exceeded")
  if(m.reason!=null&&Object.hasOwnProperty.call(m,"reason")&&m.reason!==0)
  w.uint32(8).uint32(m.reason)
  if(m.$unknowns!=null&&Object.hasOwnProperty.call(m,"$unknowns"))
  for(var i=0;i<m.$unknowns.length;++i)
  w.raw(m.$unknowns[i])
  return w
},
decode: function (r,l,z,q,g){
  if(!(r instanceof Reader))
  r=Reader.create(r)
  if(q===undefined)q=0
  if(q>Reader.recursionLimit)
  throw Error("max depth exceeded")
  var c,m,v
  if(l===undefined)
  c=r.len
  else{
  c=r.pos+l
  if(c>r.len)
  throw RangeError("index out of range")
  l=r.len
  r.len=c
  }
  m=g||new C
  while(r.pos<c){
  var s=r.pos
  var t=r.tag()
  if(t===z){
  z=undefined
  break
  }
  var u=t&7
  switch(t>>>=3){
  case 1:{
  if(u!==0)
  break
  if(v=r.uint32())
  m.reason=v
  else
  delete m.reason
  continue
  }
  }
  r.skipType(u,q,t)
  if(!r.discardUnknown){
  util.makeProp(m,"$unknowns",false);
  (m.$unknowns||(m.$unknowns=[])).push(r.raw(s,r.pos))
  }
  }
  if(l!==undefined){
  if(r.pos!==c)
  throw RangeError("index out of range")
  r.len=l
  }
  if(z!==undefined)
  throw Error("missing end group")
  return m
},
});
}
{
const types = [undefined, undefined];
const C = classOf({ domid: 0, handle_bufioreq: 0 });
Object.assign(MESSAGES.DmCreateIoreqServer, {
encode: function (m,w,q){
  if(!w)
  w=Writer.create()
  if(q===undefined)q=0
  if(q>util.recursionLimit)
  throw Error("max depth exceeded")
  if(m.domid!=null&&Object.hasOwnProperty.call(m,"domid")&&m.domid!==0)
  w.uint32(8).uint32(m.domid)
  if(m.handle_bufioreq!=null&&Object.hasOwnProperty.call(m,"handle_bufioreq")&&m.handle_bufioreq!==0)
  w.uint32(16).uint32(m.handle_bufioreq)
  if(m.$unknowns!=null&&Object.hasOwnProperty.call(m,"$unknowns"))
  for(var i=0;i<m.$unknowns.length;++i)
  w.raw(m.$unknowns[i])
  return w
},
decode: function (r,l,z,q,g){
  if(!(r instanceof Reader))
  r=Reader.create(r)
  if(q===undefined)q=0
  if(q>Reader.recursionLimit)
  throw Error("max depth exceeded")
  var c,m,v
  if(l===undefined)
  c=r.len
  else{
  c=r.pos+l
  if(c>r.len)
  throw RangeError("index out of range")
  l=r.len
  r.len=c
  }
  m=g||new C
  while(r.pos<c){
  var s=r.pos
  var t=r.tag()
  if(t===z){
  z=undefined
  break
  }
  var u=t&7
  switch(t>>>=3){
  case 1:{
  if(u!==0)
  break
  if(v=r.uint32())
  m.domid=v
  else
  delete m.domid
  continue
  }
  case 2:{
  if(u!==0)
  break
  if(v=r.uint32())
  m.handle_bufioreq=v
  else
  delete m.handle_bufioreq
  continue
  }
  }
  r.skipType(u,q,t)
  if(!r.discardUnknown){
  util.makeProp(m,"$unknowns",false);
  (m.$unknowns||(m.$unknowns=[])).push(r.raw(s,r.pos))
  }
  }
  if(l!==undefined){
  if(r.pos!==c)
  throw RangeError("index out of range")
  r.len=l
  }
  if(z!==undefined)
  throw Error("missing end group")
  return m
},
});
}
{
const types = [undefined, undefined];
const C = classOf({ domid: 0, id: 0 });
Object.assign(MESSAGES.DmIoreqServer, {
encode: function (m,w,q){
  if(!w)
  w=Writer.create()
  if(q===undefined)q=0
  if(q>util.recursionLimit)
  throw Error("max depth exceeded")
  if(m.domid!=null&&Object.hasOwnProperty.call(m,"domid")&&m.domid!==0)
  w.uint32(8).uint32(m.domid)
  if(m.id!=null&&Object.hasOwnProperty.call(m,"id")&&m.id!==0)
  w.uint32(16).uint32(m.id)
  if(m.$unknowns!=null&&Object.hasOwnProperty.call(m,"$unknowns"))
  for(var i=0;i<m.$unknowns.length;++i)
  w.raw(m.$unknowns[i])
  return w
},
decode: function (r,l,z,q,g){
  if(!(r instanceof Reader))
  r=Reader.create(r)
  if(q===undefined)q=0
  if(q>Reader.recursionLimit)
  throw Error("max depth exceeded")
  var c,m,v
  if(l===undefined)
  c=r.len
  else{
  c=r.pos+l
  if(c>r.len)
  throw RangeError("index out of range")
  l=r.len
  r.len=c
  }
  m=g||new C
  while(r.pos<c){
  var s=r.pos
  var t=r.tag()
  if(t===z){
  z=undefined
  break
  }
  var u=t&7
  switch(t>>>=3){
  case 1:{
  if(u!==0)
  break
  if(v=r.uint32())
  m.domid=v
  else
  delete m.domid
  continue
  }
  case 2:{
  if(u!==0)
  break
  if(v=r.uint32())
  m.id=v
  else
  delete m.id
  continue
  }
  }
  r.skipType(u,q,t)
  if(!r.discardUnknown){
  util.makeProp(m,"$unknowns",false);
  (m.$unknowns||(m.$unknowns=[])).push(r.raw(s,r.pos))
  }
  }
  if(l!==undefined){
  if(r.pos!==c)
  throw RangeError("index out of range")
  r.len=l
  }
  if(z!==undefined)
  throw Error("missing end group")
  return m
},
});
}
{
const types = [undefined];
const C = classOf({ bufioreq_port: 0 });
Object.assign(MESSAGES.DmIoreqServerInfo, {
encode: function (m,w,q){
  if(!w)
  w=Writer.create()
  if(q===undefined)q=0
  if(q>util.recursionLimit)
  throw Error("max depth exceeded")
  if(m.bufioreq_port!=null&&Object.hasOwnProperty.call(m,"bufioreq_port")&&m.bufioreq_port!==0)
  w.uint32(8).uint32(m.bufioreq_port)
  if(m.$unknowns!=null&&Object.hasOwnProperty.call(m,"$unknowns"))
  for(var i=0;i<m.$unknowns.length;++i)
  w.raw(m.$unknowns[i])
  return w
},
decode: function (r,l,z,q,g){
  if(!(r instanceof Reader))
  r=Reader.create(r)
  if(q===undefined)q=0
  if(q>Reader.recursionLimit)
  throw Error("max depth exceeded")
  var c,m,v
  if(l===undefined)
  c=r.len
  else{
  c=r.pos+l
  if(c>r.len)
  throw RangeError("index out of range")
  l=r.len
  r.len=c
  }
  m=g||new C
  while(r.pos<c){
  var s=r.pos
  var t=r.tag()
  if(t===z){
  z=undefined
  break
  }
  var u=t&7
  switch(t>>>=3){
  case 1:{
  if(u!==0)
  break
  if(v=r.uint32())
  m.bufioreq_port=v
  else
  delete m.bufioreq_port
  continue
  }
  }
  r.skipType(u,q,t)
  if(!r.discardUnknown){
  util.makeProp(m,"$unknowns",false);
  (m.$unknowns||(m.$unknowns=[])).push(r.raw(s,r.pos))
  }
  }
  if(l!==undefined){
  if(r.pos!==c)
  throw RangeError("index out of range")
  r.len=l
  }
  if(z!==undefined)
  throw Error("missing end group")
  return m
},
});
}
{
const types = [undefined, undefined, undefined, undefined, undefined];
const C = classOf({ domid: 0, id: 0, type: 0, start: 0, end: 0 });
Object.assign(MESSAGES.DmIoRange, {
encode: function (m,w,q){
  if(!w)
  w=Writer.create()
  if(q===undefined)q=0
  if(q>util.recursionLimit)
  throw Error("max depth exceeded")
  if(m.domid!=null&&Object.hasOwnProperty.call(m,"domid")&&m.domid!==0)
  w.uint32(8).uint32(m.domid)
  if(m.id!=null&&Object.hasOwnProperty.call(m,"id")&&m.id!==0)
  w.uint32(16).uint32(m.id)
  if(m.type!=null&&Object.hasOwnProperty.call(m,"type")&&m.type!==0)
  w.uint32(24).uint32(m.type)
  if(m.start!=null&&Object.hasOwnProperty.call(m,"start")&&(typeof m.start==="object"?m.start.low||m.start.high:m.start!==0))
  w.uint32(32).uint64(m.start)
  if(m.end!=null&&Object.hasOwnProperty.call(m,"end")&&(typeof m.end==="object"?m.end.low||m.end.high:m.end!==0))
  w.uint32(40).uint64(m.end)
  if(m.$unknowns!=null&&Object.hasOwnProperty.call(m,"$unknowns"))
  for(var i=0;i<m.$unknowns.length;++i)
  w.raw(m.$unknowns[i])
  return w
},
decode: function (r,l,z,q,g){
  if(!(r instanceof Reader))
  r=Reader.create(r)
  if(q===undefined)q=0
  if(q>Reader.recursionLimit)
  throw Error("max depth exceeded")
  var c,m,v
  if(l===undefined)
  c=r.len
  else{
  c=r.pos+l
  if(c>r.len)
  throw RangeError("index out of range")
  l=r.len
  r.len=c
  }
  m=g||new C
  while(r.pos<c){
  var s=r.pos
  var t=r.tag()
  if(t===z){
  z=undefined
  break
  }
  var u=t&7
  switch(t>>>=3){
  case 1:{
  if(u!==0)
  break
  if(v=r.uint32())
  m.domid=v
  else
  delete m.domid
  continue
  }
  case 2:{
  if(u!==0)
  break
  if(v=r.uint32())
  m.id=v
  else
  delete m.id
  continue
  }
  case 3:{
  if(u!==0)
  break
  if(v=r.uint32())
  m.type=v
  else
  delete m.type
  continue
  }
  case 4:{
  if(u!==0)
  break
  if(typeof(v=r.uint64())==="object"?v.low||v.high:v!==0)
  m.start=v
  else
  delete m.start
  continue
  }
  case 5:{
  if(u!==0)
  break
  if(typeof(v=r.uint64())==="object"?v.low||v.high:v!==0)
  m.end=v
  else
  delete m.end
  continue
  }
  }
  r.skipType(u,q,t)
  if(!r.discardUnknown){
  util.makeProp(m,"$unknowns",false);
  (m.$unknowns||(m.$unknowns=[])).push(r.raw(s,r.pos))
  }
  }
  if(l!==undefined){
  if(r.pos!==c)
  throw RangeError("index out of range")
  r.len=l
  }
  if(z!==undefined)
  throw Error("missing end group")
  return m
},
});
}
{
const types = [undefined, undefined, undefined];
const C = classOf({ domid: 0, id: 0, enabled: false });
Object.assign(MESSAGES.DmIoreqServerState, {
encode: function (m,w,q){
  if(!w)
  w=Writer.create()
  if(q===undefined)q=0
  if(q>util.recursionLimit)
  throw Error("max depth exceeded")
  if(m.domid!=null&&Object.hasOwnProperty.call(m,"domid")&&m.domid!==0)
  w.uint32(8).uint32(m.domid)
  if(m.id!=null&&Object.hasOwnProperty.call(m,"id")&&m.id!==0)
  w.uint32(16).uint32(m.id)
  if(m.enabled!=null&&Object.hasOwnProperty.call(m,"enabled")&&m.enabled!==false)
  w.uint32(24).bool(m.enabled)
  if(m.$unknowns!=null&&Object.hasOwnProperty.call(m,"$unknowns"))
  for(var i=0;i<m.$unknowns.length;++i)
  w.raw(m.$unknowns[i])
  return w
},
decode: function (r,l,z,q,g){
  if(!(r instanceof Reader))
  r=Reader.create(r)
  if(q===undefined)q=0
  if(q>Reader.recursionLimit)
  throw Error("max depth exceeded")
  var c,m,v
  if(l===undefined)
  c=r.len
  else{
  c=r.pos+l
  if(c>r.len)
  throw RangeError("index out of range")
  l=r.len
  r.len=c
  }
  m=g||new C
  while(r.pos<c){
  var s=r.pos
  var t=r.tag()
  if(t===z){
  z=undefined
  break
  }
  var u=t&7
  switch(t>>>=3){
  case 1:{
  if(u!==0)
  break
  if(v=r.uint32())
  m.domid=v
  else
  delete m.domid
  continue
  }
  case 2:{
  if(u!==0)
  break
  if(v=r.uint32())
  m.id=v
  else
  delete m.id
  continue
  }
  case 3:{
  if(u!==0)
  break
  if(v=r.bool())
  m.enabled=v
  else
  delete m.enabled
  continue
  }
  }
  r.skipType(u,q,t)
  if(!r.discardUnknown){
  util.makeProp(m,"$unknowns",false);
  (m.$unknowns||(m.$unknowns=[])).push(r.raw(s,r.pos))
  }
  }
  if(l!==undefined){
  if(r.pos!==c)
  throw RangeError("index out of range")
  r.len=l
  }
  if(z!==undefined)
  throw Error("missing end group")
  return m
},
});
}
{
const types = [undefined, undefined];
const C = classOf({ domid: 0, port: 0 });
Object.assign(MESSAGES.DmEvtchnRaise, {
encode: function (m,w,q){
  if(!w)
  w=Writer.create()
  if(q===undefined)q=0
  if(q>util.recursionLimit)
  throw Error("max depth exceeded")
  if(m.domid!=null&&Object.hasOwnProperty.call(m,"domid")&&m.domid!==0)
  w.uint32(8).uint32(m.domid)
  if(m.port!=null&&Object.hasOwnProperty.call(m,"port")&&m.port!==0)
  w.uint32(16).uint32(m.port)
  if(m.$unknowns!=null&&Object.hasOwnProperty.call(m,"$unknowns"))
  for(var i=0;i<m.$unknowns.length;++i)
  w.raw(m.$unknowns[i])
  return w
},
decode: function (r,l,z,q,g){
  if(!(r instanceof Reader))
  r=Reader.create(r)
  if(q===undefined)q=0
  if(q>Reader.recursionLimit)
  throw Error("max depth exceeded")
  var c,m,v
  if(l===undefined)
  c=r.len
  else{
  c=r.pos+l
  if(c>r.len)
  throw RangeError("index out of range")
  l=r.len
  r.len=c
  }
  m=g||new C
  while(r.pos<c){
  var s=r.pos
  var t=r.tag()
  if(t===z){
  z=undefined
  break
  }
  var u=t&7
  switch(t>>>=3){
  case 1:{
  if(u!==0)
  break
  if(v=r.uint32())
  m.domid=v
  else
  delete m.domid
  continue
  }
  case 2:{
  if(u!==0)
  break
  if(v=r.uint32())
  m.port=v
  else
  delete m.port
  continue
  }
  }
  r.skipType(u,q,t)
  if(!r.discardUnknown){
  util.makeProp(m,"$unknowns",false);
  (m.$unknowns||(m.$unknowns=[])).push(r.raw(s,r.pos))
  }
  }
  if(l!==undefined){
  if(r.pos!==c)
  throw RangeError("index out of range")
  r.len=l
  }
  if(z!==undefined)
  throw Error("missing end group")
  return m
},
});
}
{
const types = [undefined, undefined];
const C = classOf({ domid: 0, reason: 0 });
Object.assign(MESSAGES.DmRemoteShutdown, {
encode: function (m,w,q){
  if(!w)
  w=Writer.create()
  if(q===undefined)q=0
  if(q>util.recursionLimit)
  throw Error("max depth exceeded")
  if(m.domid!=null&&Object.hasOwnProperty.call(m,"domid")&&m.domid!==0)
  w.uint32(8).uint32(m.domid)
  if(m.reason!=null&&Object.hasOwnProperty.call(m,"reason")&&m.reason!==0)
  w.uint32(16).uint32(m.reason)
  if(m.$unknowns!=null&&Object.hasOwnProperty.call(m,"$unknowns"))
  for(var i=0;i<m.$unknowns.length;++i)
  w.raw(m.$unknowns[i])
  return w
},
decode: function (r,l,z,q,g){
  if(!(r instanceof Reader))
  r=Reader.create(r)
  if(q===undefined)q=0
  if(q>Reader.recursionLimit)
  throw Error("max depth exceeded")
  var c,m,v
  if(l===undefined)
  c=r.len
  else{
  c=r.pos+l
  if(c>r.len)
  throw RangeError("index out of range")
  l=r.len
  r.len=c
  }
  m=g||new C
  while(r.pos<c){
  var s=r.pos
  var t=r.tag()
  if(t===z){
  z=undefined
  break
  }
  var u=t&7
  switch(t>>>=3){
  case 1:{
  if(u!==0)
  break
  if(v=r.uint32())
  m.domid=v
  else
  delete m.domid
  continue
  }
  case 2:{
  if(u!==0)
  break
  if(v=r.uint32())
  m.reason=v
  else
  delete m.reason
  continue
  }
  }
  r.skipType(u,q,t)
  if(!r.discardUnknown){
  util.makeProp(m,"$unknowns",false);
  (m.$unknowns||(m.$unknowns=[])).push(r.raw(s,r.pos))
  }
  }
  if(l!==undefined){
  if(r.pos!==c)
  throw RangeError("index out of range")
  r.len=l
  }
  if(z!==undefined)
  throw Error("missing end group")
  return m
},
});
}
{
const types = [undefined];
const C = classOf({ domid: 0 });
Object.assign(MESSAGES.DmDomain, {
encode: function (m,w,q){
  if(!w)
  w=Writer.create()
  if(q===undefined)q=0
  if(q>util.recursionLimit)
  throw Error("max depth exceeded")
  if(m.domid!=null&&Object.hasOwnProperty.call(m,"domid")&&m.domid!==0)
  w.uint32(8).uint32(m.domid)
  if(m.$unknowns!=null&&Object.hasOwnProperty.call(m,"$unknowns"))
  for(var i=0;i<m.$unknowns.length;++i)
  w.raw(m.$unknowns[i])
  return w
},
decode: function (r,l,z,q,g){
  if(!(r instanceof Reader))
  r=Reader.create(r)
  if(q===undefined)q=0
  if(q>Reader.recursionLimit)
  throw Error("max depth exceeded")
  var c,m,v
  if(l===undefined)
  c=r.len
  else{
  c=r.pos+l
  if(c>r.len)
  throw RangeError("index out of range")
  l=r.len
  r.len=c
  }
  m=g||new C
  while(r.pos<c){
  var s=r.pos
  var t=r.tag()
  if(t===z){
  z=undefined
  break
  }
  var u=t&7
  switch(t>>>=3){
  case 1:{
  if(u!==0)
  break
  if(v=r.uint32())
  m.domid=v
  else
  delete m.domid
  continue
  }
  }
  r.skipType(u,q,t)
  if(!r.discardUnknown){
  util.makeProp(m,"$unknowns",false);
  (m.$unknowns||(m.$unknowns=[])).push(r.raw(s,r.pos))
  }
  }
  if(l!==undefined){
  if(r.pos!==c)
  throw RangeError("index out of range")
  r.len=l
  }
  if(z!==undefined)
  throw Error("missing end group")
  return m
},
});
}
{
const types = [undefined];
const C = classOf({ vcpus: 0 });
Object.assign(MESSAGES.DmNrVcpus, {
encode: function (m,w,q){
  if(!w)
  w=Writer.create()
  if(q===undefined)q=0
  if(q>util.recursionLimit)
  throw Error("max depth exceeded")
  if(m.vcpus!=null&&Object.hasOwnProperty.call(m,"vcpus")&&m.vcpus!==0)
  w.uint32(8).uint32(m.vcpus)
  if(m.$unknowns!=null&&Object.hasOwnProperty.call(m,"$unknowns"))
  for(var i=0;i<m.$unknowns.length;++i)
  w.raw(m.$unknowns[i])
  return w
},
decode: function (r,l,z,q,g){
  if(!(r instanceof Reader))
  r=Reader.create(r)
  if(q===undefined)q=0
  if(q>Reader.recursionLimit)
  throw Error("max depth exceeded")
  var c,m,v
  if(l===undefined)
  c=r.len
  else{
  c=r.pos+l
  if(c>r.len)
  throw RangeError("index out of range")
  l=r.len
  r.len=c
  }
  m=g||new C
  while(r.pos<c){
  var s=r.pos
  var t=r.tag()
  if(t===z){
  z=undefined
  break
  }
  var u=t&7
  switch(t>>>=3){
  case 1:{
  if(u!==0)
  break
  if(v=r.uint32())
  m.vcpus=v
  else
  delete m.vcpus
  continue
  }
  }
  r.skipType(u,q,t)
  if(!r.discardUnknown){
  util.makeProp(m,"$unknowns",false);
  (m.$unknowns||(m.$unknowns=[])).push(r.raw(s,r.pos))
  }
  }
  if(l!==undefined){
  if(r.pos!==c)
  throw RangeError("index out of range")
  r.len=l
  }
  if(z!==undefined)
  throw Error("missing end group")
  return m
},
});
}
{
const types = [undefined, undefined, undefined, undefined, undefined];
const C = classOf({ domid: 0, type: 0, id: 0, frame: 0, nr_frames: 0 });
Object.assign(MESSAGES.AcquireResource, {
encode: function (m,w,q){
  if(!w)
  w=Writer.create()
  if(q===undefined)q=0
  if(q>util.recursionLimit)
  throw Error("max depth exceeded")
  if(m.domid!=null&&Object.hasOwnProperty.call(m,"domid")&&m.domid!==0)
  w.uint32(8).uint32(m.domid)
  if(m.type!=null&&Object.hasOwnProperty.call(m,"type")&&m.type!==0)
  w.uint32(16).uint32(m.type)
  if(m.id!=null&&Object.hasOwnProperty.call(m,"id")&&m.id!==0)
  w.uint32(24).uint32(m.id)
  if(m.frame!=null&&Object.hasOwnProperty.call(m,"frame")&&m.frame!==0)
  w.uint32(32).uint32(m.frame)
  if(m.nr_frames!=null&&Object.hasOwnProperty.call(m,"nr_frames")&&m.nr_frames!==0)
  w.uint32(40).uint32(m.nr_frames)
  if(m.$unknowns!=null&&Object.hasOwnProperty.call(m,"$unknowns"))
  for(var i=0;i<m.$unknowns.length;++i)
  w.raw(m.$unknowns[i])
  return w
},
decode: function (r,l,z,q,g){
  if(!(r instanceof Reader))
  r=Reader.create(r)
  if(q===undefined)q=0
  if(q>Reader.recursionLimit)
  throw Error("max depth exceeded")
  var c,m,v
  if(l===undefined)
  c=r.len
  else{
  c=r.pos+l
  if(c>r.len)
  throw RangeError("index out of range")
  l=r.len
  r.len=c
  }
  m=g||new C
  while(r.pos<c){
  var s=r.pos
  var t=r.tag()
  if(t===z){
  z=undefined
  break
  }
  var u=t&7
  switch(t>>>=3){
  case 1:{
  if(u!==0)
  break
  if(v=r.uint32())
  m.domid=v
  else
  delete m.domid
  continue
  }
  case 2:{
  if(u!==0)
  break
  if(v=r.uint32())
  m.type=v
  else
  delete m.type
  continue
  }
  case 3:{
  if(u!==0)
  break
  if(v=r.uint32())
  m.id=v
  else
  delete m.id
  continue
  }
  case 4:{
  if(u!==0)
  break
  if(v=r.uint32())
  m.frame=v
  else
  delete m.frame
  continue
  }
  case 5:{
  if(u!==0)
  break
  if(v=r.uint32())
  m.nr_frames=v
  else
  delete m.nr_frames
  continue
  }
  }
  r.skipType(u,q,t)
  if(!r.discardUnknown){
  util.makeProp(m,"$unknowns",false);
  (m.$unknowns||(m.$unknowns=[])).push(r.raw(s,r.pos))
  }
  }
  if(l!==undefined){
  if(r.pos!==c)
  throw RangeError("index out of range")
  r.len=l
  }
  if(z!==undefined)
  throw Error("missing end group")
  return m
},
});
}
{
const types = [MESSAGES.FileHandle, MESSAGES.FileHandle, undefined];
const C = classOf({ file: null, files: util.emptyArray, nr_frames: 0 });
Object.assign(MESSAGES.AcquiredResource, {
encode: function (m,w,q){
  if(!w)
  w=Writer.create()
  if(q===undefined)q=0
  if(q>util.recursionLimit)
  throw Error("max depth exceeded")
  if(m.file!=null&&Object.hasOwnProperty.call(m,"file"))
  types[0].encode(m.file,w.uint32(10).fork(),q+1).ldelim()
  if(m.files!=null&&m.files.length){
  for(var i=0;i<m.files.length;++i)
  types[1].encode(m.files[i],w.uint32(18).fork(),q+1).ldelim()
  }
  if(m.nr_frames!=null&&Object.hasOwnProperty.call(m,"nr_frames")&&m.nr_frames!==0)
  w.uint32(24).uint32(m.nr_frames)
  if(m.$unknowns!=null&&Object.hasOwnProperty.call(m,"$unknowns"))
  for(var i=0;i<m.$unknowns.length;++i)
  w.raw(m.$unknowns[i])
  return w
},
decode: function (r,l,z,q,g){
  if(!(r instanceof Reader))
  r=Reader.create(r)
  if(q===undefined)q=0
  if(q>Reader.recursionLimit)
  throw Error("max depth exceeded")
  var c,m,v
  if(l===undefined)
  c=r.len
  else{
  c=r.pos+l
  if(c>r.len)
  throw RangeError("index out of range")
  l=r.len
  r.len=c
  }
  m=g||new C
  while(r.pos<c){
  var s=r.pos
  var t=r.tag()
  if(t===z){
  z=undefined
  break
  }
  var u=t&7
  switch(t>>>=3){
  case 1:{
  if(u!==2)
  break
  m.file=types[0].decode(r,r.size(),undefined,q+1,m.file)
  continue
  }
  case 2:
  {
  if(u!==2)
  break
  if(!(m.files&&m.files.length))
  m.files=[]
  m.files.push(types[1].decode(r,r.size(),undefined,q+1))
  continue
  }
  case 3:{
  if(u!==0)
  break
  if(v=r.uint32())
  m.nr_frames=v
  else
  delete m.nr_frames
  continue
  }
  }
  r.skipType(u,q,t)
  if(!r.discardUnknown){
  util.makeProp(m,"$unknowns",false);
  (m.$unknowns||(m.$unknowns=[])).push(r.raw(s,r.pos))
  }
  }
  if(l!==undefined){
  if(r.pos!==c)
  throw RangeError("index out of range")
  r.len=l
  }
  if(z!==undefined)
  throw Error("missing end group")
  return m
},
});
}
{
const types = [undefined];
const C = classOf({ domid: 0 });
Object.assign(MESSAGES.ForeignMap, {
encode: function (m,w,q){
  if(!w)
  w=Writer.create()
  if(q===undefined)q=0
  if(q>util.recursionLimit)
  throw Error("max depth exceeded")
  if(m.domid!=null&&Object.hasOwnProperty.call(m,"domid")&&m.domid!==0)
  w.uint32(8).uint32(m.domid)
  if(m.$unknowns!=null&&Object.hasOwnProperty.call(m,"$unknowns"))
  for(var i=0;i<m.$unknowns.length;++i)
  w.raw(m.$unknowns[i])
  return w
},
decode: function (r,l,z,q,g){
  if(!(r instanceof Reader))
  r=Reader.create(r)
  if(q===undefined)q=0
  if(q>Reader.recursionLimit)
  throw Error("max depth exceeded")
  var c,m,v
  if(l===undefined)
  c=r.len
  else{
  c=r.pos+l
  if(c>r.len)
  throw RangeError("index out of range")
  l=r.len
  r.len=c
  }
  m=g||new C
  while(r.pos<c){
  var s=r.pos
  var t=r.tag()
  if(t===z){
  z=undefined
  break
  }
  var u=t&7
  switch(t>>>=3){
  case 1:{
  if(u!==0)
  break
  if(v=r.uint32())
  m.domid=v
  else
  delete m.domid
  continue
  }
  }
  r.skipType(u,q,t)
  if(!r.discardUnknown){
  util.makeProp(m,"$unknowns",false);
  (m.$unknowns||(m.$unknowns=[])).push(r.raw(s,r.pos))
  }
  }
  if(l!==undefined){
  if(r.pos!==c)
  throw RangeError("index out of range")
  r.len=l
  }
  if(z!==undefined)
  throw Error("missing end group")
  return m
},
});
}
{
const types = [MESSAGES.FileHandle];
const C = classOf({ file: null });
Object.assign(MESSAGES.ForeignMemory, {
encode: function (m,w,q){
  if(!w)
  w=Writer.create()
  if(q===undefined)q=0
  if(q>util.recursionLimit)
  throw Error("max depth exceeded")
  if(m.file!=null&&Object.hasOwnProperty.call(m,"file"))
  types[0].encode(m.file,w.uint32(10).fork(),q+1).ldelim()
  if(m.$unknowns!=null&&Object.hasOwnProperty.call(m,"$unknowns"))
  for(var i=0;i<m.$unknowns.length;++i)
  w.raw(m.$unknowns[i])
  return w
},
decode: function (r,l,z,q,g){
  if(!(r instanceof Reader))
  r=Reader.create(r)
  if(q===undefined)q=0
  if(q>Reader.recursionLimit)
  throw Error("max depth exceeded")
  var c,m,v
  if(l===undefined)
  c=r.len
  else{
  c=r.pos+l
  if(c>r.len)
  throw RangeError("index out of range")
  l=r.len
  r.len=c
  }
  m=g||new C
  while(r.pos<c){
  var s=r.pos
  var t=r.tag()
  if(t===z){
  z=undefined
  break
  }
  var u=t&7
  switch(t>>>=3){
  case 1:{
  if(u!==2)
  break
  m.file=types[0].decode(r,r.size(),undefined,q+1,m.file)
  continue
  }
  }
  r.skipType(u,q,t)
  if(!r.discardUnknown){
  util.makeProp(m,"$unknowns",false);
  (m.$unknowns||(m.$unknowns=[])).push(r.raw(s,r.pos))
  }
  }
  if(l!==undefined){
  if(r.pos!==c)
  throw RangeError("index out of range")
  r.len=l
  }
  if(z!==undefined)
  throw Error("missing end group")
  return m
},
});
}
{
const types = [undefined];
const C = classOf({ domid: 0 });
Object.assign(MESSAGES.ForeignUnmap, {
encode: function (m,w,q){
  if(!w)
  w=Writer.create()
  if(q===undefined)q=0
  if(q>util.recursionLimit)
  throw Error("max depth exceeded")
  if(m.domid!=null&&Object.hasOwnProperty.call(m,"domid")&&m.domid!==0)
  w.uint32(8).uint32(m.domid)
  if(m.$unknowns!=null&&Object.hasOwnProperty.call(m,"$unknowns"))
  for(var i=0;i<m.$unknowns.length;++i)
  w.raw(m.$unknowns[i])
  return w
},
decode: function (r,l,z,q,g){
  if(!(r instanceof Reader))
  r=Reader.create(r)
  if(q===undefined)q=0
  if(q>Reader.recursionLimit)
  throw Error("max depth exceeded")
  var c,m,v
  if(l===undefined)
  c=r.len
  else{
  c=r.pos+l
  if(c>r.len)
  throw RangeError("index out of range")
  l=r.len
  r.len=c
  }
  m=g||new C
  while(r.pos<c){
  var s=r.pos
  var t=r.tag()
  if(t===z){
  z=undefined
  break
  }
  var u=t&7
  switch(t>>>=3){
  case 1:{
  if(u!==0)
  break
  if(v=r.uint32())
  m.domid=v
  else
  delete m.domid
  continue
  }
  }
  r.skipType(u,q,t)
  if(!r.discardUnknown){
  util.makeProp(m,"$unknowns",false);
  (m.$unknowns||(m.$unknowns=[])).push(r.raw(s,r.pos))
  }
  }
  if(l!==undefined){
  if(r.pos!==c)
  throw RangeError("index out of range")
  r.len=l
  }
  if(z!==undefined)
  throw Error("missing end group")
  return m
},
});
}
{
const types = [MESSAGES.BellHandle];
const C = classOf({ readable: null });
Object.assign(MESSAGES.DevEvtchnOpen, {
encode: function (m,w,q){
  if(!w)
  w=Writer.create()
  if(q===undefined)q=0
  if(q>util.recursionLimit)
  throw Error("max depth exceeded")
  if(m.readable!=null&&Object.hasOwnProperty.call(m,"readable"))
  types[0].encode(m.readable,w.uint32(10).fork(),q+1).ldelim()
  if(m.$unknowns!=null&&Object.hasOwnProperty.call(m,"$unknowns"))
  for(var i=0;i<m.$unknowns.length;++i)
  w.raw(m.$unknowns[i])
  return w
},
decode: function (r,l,z,q,g){
  if(!(r instanceof Reader))
  r=Reader.create(r)
  if(q===undefined)q=0
  if(q>Reader.recursionLimit)
  throw Error("max depth exceeded")
  var c,m,v
  if(l===undefined)
  c=r.len
  else{
  c=r.pos+l
  if(c>r.len)
  throw RangeError("index out of range")
  l=r.len
  r.len=c
  }
  m=g||new C
  while(r.pos<c){
  var s=r.pos
  var t=r.tag()
  if(t===z){
  z=undefined
  break
  }
  var u=t&7
  switch(t>>>=3){
  case 1:{
  if(u!==2)
  break
  m.readable=types[0].decode(r,r.size(),undefined,q+1,m.readable)
  continue
  }
  }
  r.skipType(u,q,t)
  if(!r.discardUnknown){
  util.makeProp(m,"$unknowns",false);
  (m.$unknowns||(m.$unknowns=[])).push(r.raw(s,r.pos))
  }
  }
  if(l!==undefined){
  if(r.pos!==c)
  throw RangeError("index out of range")
  r.len=l
  }
  if(z!==undefined)
  throw Error("missing end group")
  return m
},
});
}
{
const types = [undefined, MESSAGES.FileHandle, MESSAGES.BellHandle];
const C = classOf({ fd: 0, page: null, written: null });
Object.assign(MESSAGES.DevEvtchnPage, {
encode: function (m,w,q){
  if(!w)
  w=Writer.create()
  if(q===undefined)q=0
  if(q>util.recursionLimit)
  throw Error("max depth exceeded")
  if(m.fd!=null&&Object.hasOwnProperty.call(m,"fd")&&m.fd!==0)
  w.uint32(8).uint32(m.fd)
  if(m.page!=null&&Object.hasOwnProperty.call(m,"page"))
  types[1].encode(m.page,w.uint32(18).fork(),q+1).ldelim()
  if(m.written!=null&&Object.hasOwnProperty.call(m,"written"))
  types[2].encode(m.written,w.uint32(26).fork(),q+1).ldelim()
  if(m.$unknowns!=null&&Object.hasOwnProperty.call(m,"$unknowns"))
  for(var i=0;i<m.$unknowns.length;++i)
  w.raw(m.$unknowns[i])
  return w
},
decode: function (r,l,z,q,g){
  if(!(r instanceof Reader))
  r=Reader.create(r)
  if(q===undefined)q=0
  if(q>Reader.recursionLimit)
  throw Error("max depth exceeded")
  var c,m,v
  if(l===undefined)
  c=r.len
  else{
  c=r.pos+l
  if(c>r.len)
  throw RangeError("index out of range")
  l=r.len
  r.len=c
  }
  m=g||new C
  while(r.pos<c){
  var s=r.pos
  var t=r.tag()
  if(t===z){
  z=undefined
  break
  }
  var u=t&7
  switch(t>>>=3){
  case 1:{
  if(u!==0)
  break
  if(v=r.uint32())
  m.fd=v
  else
  delete m.fd
  continue
  }
  case 2:{
  if(u!==2)
  break
  m.page=types[1].decode(r,r.size(),undefined,q+1,m.page)
  continue
  }
  case 3:{
  if(u!==2)
  break
  m.written=types[2].decode(r,r.size(),undefined,q+1,m.written)
  continue
  }
  }
  r.skipType(u,q,t)
  if(!r.discardUnknown){
  util.makeProp(m,"$unknowns",false);
  (m.$unknowns||(m.$unknowns=[])).push(r.raw(s,r.pos))
  }
  }
  if(l!==undefined){
  if(r.pos!==c)
  throw RangeError("index out of range")
  r.len=l
  }
  if(z!==undefined)
  throw Error("missing end group")
  return m
},
});
}
{
const types = [undefined, undefined, undefined];
const C = classOf({ fd: 0, remote_dom: 0, remote_port: 0 });
Object.assign(MESSAGES.DevEvtchnBindInterdomain, {
encode: function (m,w,q){
  if(!w)
  w=Writer.create()
  if(q===undefined)q=0
  if(q>util.recursionLimit)
  throw Error("max depth exceeded")
  if(m.fd!=null&&Object.hasOwnProperty.call(m,"fd")&&m.fd!==0)
  w.uint32(8).uint32(m.fd)
  if(m.remote_dom!=null&&Object.hasOwnProperty.call(m,"remote_dom")&&m.remote_dom!==0)
  w.uint32(16).uint32(m.remote_dom)
  if(m.remote_port!=null&&Object.hasOwnProperty.call(m,"remote_port")&&m.remote_port!==0)
  w.uint32(24).uint32(m.remote_port)
  if(m.$unknowns!=null&&Object.hasOwnProperty.call(m,"$unknowns"))
  for(var i=0;i<m.$unknowns.length;++i)
  w.raw(m.$unknowns[i])
  return w
},
decode: function (r,l,z,q,g){
  if(!(r instanceof Reader))
  r=Reader.create(r)
  if(q===undefined)q=0
  if(q>Reader.recursionLimit)
  throw Error("max depth exceeded")
  var c,m,v
  if(l===undefined)
  c=r.len
  else{
  c=r.pos+l
  if(c>r.len)
  throw RangeError("index out of range")
  l=r.len
  r.len=c
  }
  m=g||new C
  while(r.pos<c){
  var s=r.pos
  var t=r.tag()
  if(t===z){
  z=undefined
  break
  }
  var u=t&7
  switch(t>>>=3){
  case 1:{
  if(u!==0)
  break
  if(v=r.uint32())
  m.fd=v
  else
  delete m.fd
  continue
  }
  case 2:{
  if(u!==0)
  break
  if(v=r.uint32())
  m.remote_dom=v
  else
  delete m.remote_dom
  continue
  }
  case 3:{
  if(u!==0)
  break
  if(v=r.uint32())
  m.remote_port=v
  else
  delete m.remote_port
  continue
  }
  }
  r.skipType(u,q,t)
  if(!r.discardUnknown){
  util.makeProp(m,"$unknowns",false);
  (m.$unknowns||(m.$unknowns=[])).push(r.raw(s,r.pos))
  }
  }
  if(l!==undefined){
  if(r.pos!==c)
  throw RangeError("index out of range")
  r.len=l
  }
  if(z!==undefined)
  throw Error("missing end group")
  return m
},
});
}
{
const types = [undefined, undefined];
const C = classOf({ fd: 0, virq: 0 });
Object.assign(MESSAGES.DevEvtchnBindVirq, {
encode: function (m,w,q){
  if(!w)
  w=Writer.create()
  if(q===undefined)q=0
  if(q>util.recursionLimit)
  throw Error("max depth exceeded")
  if(m.fd!=null&&Object.hasOwnProperty.call(m,"fd")&&m.fd!==0)
  w.uint32(8).uint32(m.fd)
  if(m.virq!=null&&Object.hasOwnProperty.call(m,"virq")&&m.virq!==0)
  w.uint32(16).uint32(m.virq)
  if(m.$unknowns!=null&&Object.hasOwnProperty.call(m,"$unknowns"))
  for(var i=0;i<m.$unknowns.length;++i)
  w.raw(m.$unknowns[i])
  return w
},
decode: function (r,l,z,q,g){
  if(!(r instanceof Reader))
  r=Reader.create(r)
  if(q===undefined)q=0
  if(q>Reader.recursionLimit)
  throw Error("max depth exceeded")
  var c,m,v
  if(l===undefined)
  c=r.len
  else{
  c=r.pos+l
  if(c>r.len)
  throw RangeError("index out of range")
  l=r.len
  r.len=c
  }
  m=g||new C
  while(r.pos<c){
  var s=r.pos
  var t=r.tag()
  if(t===z){
  z=undefined
  break
  }
  var u=t&7
  switch(t>>>=3){
  case 1:{
  if(u!==0)
  break
  if(v=r.uint32())
  m.fd=v
  else
  delete m.fd
  continue
  }
  case 2:{
  if(u!==0)
  break
  if(v=r.uint32())
  m.virq=v
  else
  delete m.virq
  continue
  }
  }
  r.skipType(u,q,t)
  if(!r.discardUnknown){
  util.makeProp(m,"$unknowns",false);
  (m.$unknowns||(m.$unknowns=[])).push(r.raw(s,r.pos))
  }
  }
  if(l!==undefined){
  if(r.pos!==c)
  throw RangeError("index out of range")
  r.len=l
  }
  if(z!==undefined)
  throw Error("missing end group")
  return m
},
});
}
{
const types = [undefined, undefined];
const C = classOf({ fd: 0, remote_dom: 0 });
Object.assign(MESSAGES.DevEvtchnBindUnbound, {
encode: function (m,w,q){
  if(!w)
  w=Writer.create()
  if(q===undefined)q=0
  if(q>util.recursionLimit)
  throw Error("max depth exceeded")
  if(m.fd!=null&&Object.hasOwnProperty.call(m,"fd")&&m.fd!==0)
  w.uint32(8).uint32(m.fd)
  if(m.remote_dom!=null&&Object.hasOwnProperty.call(m,"remote_dom")&&m.remote_dom!==0)
  w.uint32(16).uint32(m.remote_dom)
  if(m.$unknowns!=null&&Object.hasOwnProperty.call(m,"$unknowns"))
  for(var i=0;i<m.$unknowns.length;++i)
  w.raw(m.$unknowns[i])
  return w
},
decode: function (r,l,z,q,g){
  if(!(r instanceof Reader))
  r=Reader.create(r)
  if(q===undefined)q=0
  if(q>Reader.recursionLimit)
  throw Error("max depth exceeded")
  var c,m,v
  if(l===undefined)
  c=r.len
  else{
  c=r.pos+l
  if(c>r.len)
  throw RangeError("index out of range")
  l=r.len
  r.len=c
  }
  m=g||new C
  while(r.pos<c){
  var s=r.pos
  var t=r.tag()
  if(t===z){
  z=undefined
  break
  }
  var u=t&7
  switch(t>>>=3){
  case 1:{
  if(u!==0)
  break
  if(v=r.uint32())
  m.fd=v
  else
  delete m.fd
  continue
  }
  case 2:{
  if(u!==0)
  break
  if(v=r.uint32())
  m.remote_dom=v
  else
  delete m.remote_dom
  continue
  }
  }
  r.skipType(u,q,t)
  if(!r.discardUnknown){
  util.makeProp(m,"$unknowns",false);
  (m.$unknowns||(m.$unknowns=[])).push(r.raw(s,r.pos))
  }
  }
  if(l!==undefined){
  if(r.pos!==c)
  throw RangeError("index out of range")
  r.len=l
  }
  if(z!==undefined)
  throw Error("missing end group")
  return m
},
});
}
{
const types = [undefined, undefined];
const C = classOf({ fd: 0, port: 0 });
Object.assign(MESSAGES.DevEvtchnPort, {
encode: function (m,w,q){
  if(!w)
  w=Writer.create()
  if(q===undefined)q=0
  if(q>util.recursionLimit)
  throw Error("max depth exceeded")
  if(m.fd!=null&&Object.hasOwnProperty.call(m,"fd")&&m.fd!==0)
  w.uint32(8).uint32(m.fd)
  if(m.port!=null&&Object.hasOwnProperty.call(m,"port")&&m.port!==0)
  w.uint32(16).uint32(m.port)
  if(m.$unknowns!=null&&Object.hasOwnProperty.call(m,"$unknowns"))
  for(var i=0;i<m.$unknowns.length;++i)
  w.raw(m.$unknowns[i])
  return w
},
decode: function (r,l,z,q,g){
  if(!(r instanceof Reader))
  r=Reader.create(r)
  if(q===undefined)q=0
  if(q>Reader.recursionLimit)
  throw Error("max depth exceeded")
  var c,m,v
  if(l===undefined)
  c=r.len
  else{
  c=r.pos+l
  if(c>r.len)
  throw RangeError("index out of range")
  l=r.len
  r.len=c
  }
  m=g||new C
  while(r.pos<c){
  var s=r.pos
  var t=r.tag()
  if(t===z){
  z=undefined
  break
  }
  var u=t&7
  switch(t>>>=3){
  case 1:{
  if(u!==0)
  break
  if(v=r.uint32())
  m.fd=v
  else
  delete m.fd
  continue
  }
  case 2:{
  if(u!==0)
  break
  if(v=r.uint32())
  m.port=v
  else
  delete m.port
  continue
  }
  }
  r.skipType(u,q,t)
  if(!r.discardUnknown){
  util.makeProp(m,"$unknowns",false);
  (m.$unknowns||(m.$unknowns=[])).push(r.raw(s,r.pos))
  }
  }
  if(l!==undefined){
  if(r.pos!==c)
  throw RangeError("index out of range")
  r.len=l
  }
  if(z!==undefined)
  throw Error("missing end group")
  return m
},
});
}
{
const types = [undefined];
const C = classOf({ fd: 0 });
Object.assign(MESSAGES.DevFd, {
encode: function (m,w,q){
  if(!w)
  w=Writer.create()
  if(q===undefined)q=0
  if(q>util.recursionLimit)
  throw Error("max depth exceeded")
  if(m.fd!=null&&Object.hasOwnProperty.call(m,"fd")&&m.fd!==0)
  w.uint32(8).uint32(m.fd)
  if(m.$unknowns!=null&&Object.hasOwnProperty.call(m,"$unknowns"))
  for(var i=0;i<m.$unknowns.length;++i)
  w.raw(m.$unknowns[i])
  return w
},
decode: function (r,l,z,q,g){
  if(!(r instanceof Reader))
  r=Reader.create(r)
  if(q===undefined)q=0
  if(q>Reader.recursionLimit)
  throw Error("max depth exceeded")
  var c,m,v
  if(l===undefined)
  c=r.len
  else{
  c=r.pos+l
  if(c>r.len)
  throw RangeError("index out of range")
  l=r.len
  r.len=c
  }
  m=g||new C
  while(r.pos<c){
  var s=r.pos
  var t=r.tag()
  if(t===z){
  z=undefined
  break
  }
  var u=t&7
  switch(t>>>=3){
  case 1:{
  if(u!==0)
  break
  if(v=r.uint32())
  m.fd=v
  else
  delete m.fd
  continue
  }
  }
  r.skipType(u,q,t)
  if(!r.discardUnknown){
  util.makeProp(m,"$unknowns",false);
  (m.$unknowns||(m.$unknowns=[])).push(r.raw(s,r.pos))
  }
  }
  if(l!==undefined){
  if(r.pos!==c)
  throw RangeError("index out of range")
  r.len=l
  }
  if(z!==undefined)
  throw Error("missing end group")
  return m
},
});
}
{
const types = [undefined, undefined, undefined, undefined, MESSAGES.BellHandle, undefined];
const C = classOf({ fd: 0, port: 0, direction: 0, deassign: false, handle: null, direct: false });
Object.assign(MESSAGES.DevEvtchnEventfd, {
encode: function (m,w,q){
  if(!w)
  w=Writer.create()
  if(q===undefined)q=0
  if(q>util.recursionLimit)
  throw Error("max depth exceeded")
  if(m.fd!=null&&Object.hasOwnProperty.call(m,"fd")&&m.fd!==0)
  w.uint32(8).uint32(m.fd)
  if(m.port!=null&&Object.hasOwnProperty.call(m,"port")&&m.port!==0)
  w.uint32(16).uint32(m.port)
  if(m.direction!=null&&Object.hasOwnProperty.call(m,"direction")&&m.direction!==0)
  w.uint32(24).uint32(m.direction)
  if(m.deassign!=null&&Object.hasOwnProperty.call(m,"deassign")&&m.deassign!==false)
  w.uint32(32).bool(m.deassign)
  if(m.handle!=null&&Object.hasOwnProperty.call(m,"handle"))
  types[4].encode(m.handle,w.uint32(42).fork(),q+1).ldelim()
  if(m.direct!=null&&Object.hasOwnProperty.call(m,"direct")&&m.direct!==false)
  w.uint32(48).bool(m.direct)
  if(m.$unknowns!=null&&Object.hasOwnProperty.call(m,"$unknowns"))
  for(var i=0;i<m.$unknowns.length;++i)
  w.raw(m.$unknowns[i])
  return w
},
decode: function (r,l,z,q,g){
  if(!(r instanceof Reader))
  r=Reader.create(r)
  if(q===undefined)q=0
  if(q>Reader.recursionLimit)
  throw Error("max depth exceeded")
  var c,m,v
  if(l===undefined)
  c=r.len
  else{
  c=r.pos+l
  if(c>r.len)
  throw RangeError("index out of range")
  l=r.len
  r.len=c
  }
  m=g||new C
  while(r.pos<c){
  var s=r.pos
  var t=r.tag()
  if(t===z){
  z=undefined
  break
  }
  var u=t&7
  switch(t>>>=3){
  case 1:{
  if(u!==0)
  break
  if(v=r.uint32())
  m.fd=v
  else
  delete m.fd
  continue
  }
  case 2:{
  if(u!==0)
  break
  if(v=r.uint32())
  m.port=v
  else
  delete m.port
  continue
  }
  case 3:{
  if(u!==0)
  break
  if(v=r.uint32())
  m.direction=v
  else
  delete m.direction
  continue
  }
  case 4:{
  if(u!==0)
  break
  if(v=r.bool())
  m.deassign=v
  else
  delete m.deassign
  continue
  }
  case 5:{
  if(u!==2)
  break
  m.handle=types[4].decode(r,r.size(),undefined,q+1,m.handle)
  continue
  }
  case 6:{
  if(u!==0)
  break
  if(v=r.bool())
  m.direct=v
  else
  delete m.direct
  continue
  }
  }
  r.skipType(u,q,t)
  if(!r.discardUnknown){
  util.makeProp(m,"$unknowns",false);
  (m.$unknowns||(m.$unknowns=[])).push(r.raw(s,r.pos))
  }
  }
  if(l!==undefined){
  if(r.pos!==c)
  throw RangeError("index out of range")
  r.len=l
  }
  if(z!==undefined)
  throw Error("missing end group")
  return m
},
});
}
{
const types = [MESSAGES.BellHandle];
const C = classOf({ handle: null });
Object.assign(MESSAGES.DevEvtchnEventfdReply, {
encode: function (m,w,q){
  if(!w)
  w=Writer.create()
  if(q===undefined)q=0
  if(q>util.recursionLimit)
  throw Error("max depth exceeded")
  if(m.handle!=null&&Object.hasOwnProperty.call(m,"handle"))
  types[0].encode(m.handle,w.uint32(10).fork(),q+1).ldelim()
  if(m.$unknowns!=null&&Object.hasOwnProperty.call(m,"$unknowns"))
  for(var i=0;i<m.$unknowns.length;++i)
  w.raw(m.$unknowns[i])
  return w
},
decode: function (r,l,z,q,g){
  if(!(r instanceof Reader))
  r=Reader.create(r)
  if(q===undefined)q=0
  if(q>Reader.recursionLimit)
  throw Error("max depth exceeded")
  var c,m,v
  if(l===undefined)
  c=r.len
  else{
  c=r.pos+l
  if(c>r.len)
  throw RangeError("index out of range")
  l=r.len
  r.len=c
  }
  m=g||new C
  while(r.pos<c){
  var s=r.pos
  var t=r.tag()
  if(t===z){
  z=undefined
  break
  }
  var u=t&7
  switch(t>>>=3){
  case 1:{
  if(u!==2)
  break
  m.handle=types[0].decode(r,r.size(),undefined,q+1,m.handle)
  continue
  }
  }
  r.skipType(u,q,t)
  if(!r.discardUnknown){
  util.makeProp(m,"$unknowns",false);
  (m.$unknowns||(m.$unknowns=[])).push(r.raw(s,r.pos))
  }
  }
  if(l!==undefined){
  if(r.pos!==c)
  throw RangeError("index out of range")
  r.len=l
  }
  if(z!==undefined)
  throw Error("missing end group")
  return m
},
});
}
{
const types = [undefined, undefined, undefined, undefined, undefined, MESSAGES.BellHandle, undefined, undefined, undefined, undefined];
const C = classOf({ domid: 0, server: 0, addr: 0, addr_len: 0, vq: 0, handle: null, ports: util.emptyArray, fd: 0, deassign: false, direct: false });
Object.assign(MESSAGES.PrivcmdIoeventfd, {
encode: function (m,w,q){
  if(!w)
  w=Writer.create()
  if(q===undefined)q=0
  if(q>util.recursionLimit)
  throw Error("max depth exceeded")
  if(m.domid!=null&&Object.hasOwnProperty.call(m,"domid")&&m.domid!==0)
  w.uint32(8).uint32(m.domid)
  if(m.server!=null&&Object.hasOwnProperty.call(m,"server")&&m.server!==0)
  w.uint32(16).uint32(m.server)
  if(m.addr!=null&&Object.hasOwnProperty.call(m,"addr")&&(typeof m.addr==="object"?m.addr.low||m.addr.high:m.addr!==0))
  w.uint32(24).uint64(m.addr)
  if(m.addr_len!=null&&Object.hasOwnProperty.call(m,"addr_len")&&m.addr_len!==0)
  w.uint32(32).uint32(m.addr_len)
  if(m.vq!=null&&Object.hasOwnProperty.call(m,"vq")&&m.vq!==0)
  w.uint32(40).uint32(m.vq)
  if(m.handle!=null&&Object.hasOwnProperty.call(m,"handle"))
  types[5].encode(m.handle,w.uint32(50).fork(),q+1).ldelim()
  if(m.ports!=null&&m.ports.length){
  w.uint32(58).uint32s(m.ports)
  }
  if(m.fd!=null&&Object.hasOwnProperty.call(m,"fd")&&m.fd!==0)
  w.uint32(64).uint32(m.fd)
  if(m.deassign!=null&&Object.hasOwnProperty.call(m,"deassign")&&m.deassign!==false)
  w.uint32(72).bool(m.deassign)
  if(m.direct!=null&&Object.hasOwnProperty.call(m,"direct")&&m.direct!==false)
  w.uint32(80).bool(m.direct)
  if(m.$unknowns!=null&&Object.hasOwnProperty.call(m,"$unknowns"))
  for(var i=0;i<m.$unknowns.length;++i)
  w.raw(m.$unknowns[i])
  return w
},
decode: function (r,l,z,q,g){
  if(!(r instanceof Reader))
  r=Reader.create(r)
  if(q===undefined)q=0
  if(q>Reader.recursionLimit)
  throw Error("max depth exceeded")
  var c,m,v
  if(l===undefined)
  c=r.len
  else{
  c=r.pos+l
  if(c>r.len)
  throw RangeError("index out of range")
  l=r.len
  r.len=c
  }
  m=g||new C
  while(r.pos<c){
  var s=r.pos
  var t=r.tag()
  if(t===z){
  z=undefined
  break
  }
  var u=t&7
  switch(t>>>=3){
  case 1:{
  if(u!==0)
  break
  if(v=r.uint32())
  m.domid=v
  else
  delete m.domid
  continue
  }
  case 2:{
  if(u!==0)
  break
  if(v=r.uint32())
  m.server=v
  else
  delete m.server
  continue
  }
  case 3:{
  if(u!==0)
  break
  if(typeof(v=r.uint64())==="object"?v.low||v.high:v!==0)
  m.addr=v
  else
  delete m.addr
  continue
  }
  case 4:{
  if(u!==0)
  break
  if(v=r.uint32())
  m.addr_len=v
  else
  delete m.addr_len
  continue
  }
  case 5:{
  if(u!==0)
  break
  if(v=r.uint32())
  m.vq=v
  else
  delete m.vq
  continue
  }
  case 6:{
  if(u!==2)
  break
  m.handle=types[5].decode(r,r.size(),undefined,q+1,m.handle)
  continue
  }
  case 7:
  {
  if(u===2){
  if(!(m.ports&&m.ports.length))
  m.ports=[]
  r.uint32s(m.ports)
  continue
  }
  if(u!==0)
  break
  if(!(m.ports&&m.ports.length))
  m.ports=[]
  m.ports.push(r.uint32())
  continue
  }
  case 8:{
  if(u!==0)
  break
  if(v=r.uint32())
  m.fd=v
  else
  delete m.fd
  continue
  }
  case 9:{
  if(u!==0)
  break
  if(v=r.bool())
  m.deassign=v
  else
  delete m.deassign
  continue
  }
  case 10:{
  if(u!==0)
  break
  if(v=r.bool())
  m.direct=v
  else
  delete m.direct
  continue
  }
  }
  r.skipType(u,q,t)
  if(!r.discardUnknown){
  util.makeProp(m,"$unknowns",false);
  (m.$unknowns||(m.$unknowns=[])).push(r.raw(s,r.pos))
  }
  }
  if(l!==undefined){
  if(r.pos!==c)
  throw RangeError("index out of range")
  r.len=l
  }
  if(z!==undefined)
  throw Error("missing end group")
  return m
},
});
}
{
const types = [undefined, undefined, undefined, MESSAGES.BellHandle];
const C = classOf({ domid: 0, dm_op: util.emptyArray, deassign: false, handle: null });
Object.assign(MESSAGES.PrivcmdIrqfd, {
encode: function (m,w,q){
  if(!w)
  w=Writer.create()
  if(q===undefined)q=0
  if(q>util.recursionLimit)
  throw Error("max depth exceeded")
  if(m.domid!=null&&Object.hasOwnProperty.call(m,"domid")&&m.domid!==0)
  w.uint32(8).uint32(m.domid)
  if(m.dm_op!=null&&Object.hasOwnProperty.call(m,"dm_op")&&m.dm_op.length)
  w.uint32(18).bytes(m.dm_op)
  if(m.deassign!=null&&Object.hasOwnProperty.call(m,"deassign")&&m.deassign!==false)
  w.uint32(24).bool(m.deassign)
  if(m.handle!=null&&Object.hasOwnProperty.call(m,"handle"))
  types[3].encode(m.handle,w.uint32(34).fork(),q+1).ldelim()
  if(m.$unknowns!=null&&Object.hasOwnProperty.call(m,"$unknowns"))
  for(var i=0;i<m.$unknowns.length;++i)
  w.raw(m.$unknowns[i])
  return w
},
decode: function (r,l,z,q,g){
  if(!(r instanceof Reader))
  r=Reader.create(r)
  if(q===undefined)q=0
  if(q>Reader.recursionLimit)
  throw Error("max depth exceeded")
  var c,m,v
  if(l===undefined)
  c=r.len
  else{
  c=r.pos+l
  if(c>r.len)
  throw RangeError("index out of range")
  l=r.len
  r.len=c
  }
  m=g||new C
  while(r.pos<c){
  var s=r.pos
  var t=r.tag()
  if(t===z){
  z=undefined
  break
  }
  var u=t&7
  switch(t>>>=3){
  case 1:{
  if(u!==0)
  break
  if(v=r.uint32())
  m.domid=v
  else
  delete m.domid
  continue
  }
  case 2:{
  if(u!==2)
  break
  if((v=r.bytes()).length)
  m.dm_op=v
  else
  delete m.dm_op
  continue
  }
  case 3:{
  if(u!==0)
  break
  if(v=r.bool())
  m.deassign=v
  else
  delete m.deassign
  continue
  }
  case 4:{
  if(u!==2)
  break
  m.handle=types[3].decode(r,r.size(),undefined,q+1,m.handle)
  continue
  }
  }
  r.skipType(u,q,t)
  if(!r.discardUnknown){
  util.makeProp(m,"$unknowns",false);
  (m.$unknowns||(m.$unknowns=[])).push(r.raw(s,r.pos))
  }
  }
  if(l!==undefined){
  if(r.pos!==c)
  throw RangeError("index out of range")
  r.len=l
  }
  if(z!==undefined)
  throw Error("missing end group")
  return m
},
});
}
{
const types = [MESSAGES.BellHandle];
const C = classOf({ handle: null });
Object.assign(MESSAGES.PrivcmdIrqfdReply, {
encode: function (m,w,q){
  if(!w)
  w=Writer.create()
  if(q===undefined)q=0
  if(q>util.recursionLimit)
  throw Error("max depth exceeded")
  if(m.handle!=null&&Object.hasOwnProperty.call(m,"handle"))
  types[0].encode(m.handle,w.uint32(10).fork(),q+1).ldelim()
  if(m.$unknowns!=null&&Object.hasOwnProperty.call(m,"$unknowns"))
  for(var i=0;i<m.$unknowns.length;++i)
  w.raw(m.$unknowns[i])
  return w
},
decode: function (r,l,z,q,g){
  if(!(r instanceof Reader))
  r=Reader.create(r)
  if(q===undefined)q=0
  if(q>Reader.recursionLimit)
  throw Error("max depth exceeded")
  var c,m,v
  if(l===undefined)
  c=r.len
  else{
  c=r.pos+l
  if(c>r.len)
  throw RangeError("index out of range")
  l=r.len
  r.len=c
  }
  m=g||new C
  while(r.pos<c){
  var s=r.pos
  var t=r.tag()
  if(t===z){
  z=undefined
  break
  }
  var u=t&7
  switch(t>>>=3){
  case 1:{
  if(u!==2)
  break
  m.handle=types[0].decode(r,r.size(),undefined,q+1,m.handle)
  continue
  }
  }
  r.skipType(u,q,t)
  if(!r.discardUnknown){
  util.makeProp(m,"$unknowns",false);
  (m.$unknowns||(m.$unknowns=[])).push(r.raw(s,r.pos))
  }
  }
  if(l!==undefined){
  if(r.pos!==c)
  throw RangeError("index out of range")
  r.len=l
  }
  if(z!==undefined)
  throw Error("missing end group")
  return m
},
});
}
{
const types = [undefined];
const C = classOf({ nr_frames: 0 });
Object.assign(MESSAGES.GnttabSetup, {
encode: function (m,w,q){
  if(!w)
  w=Writer.create()
  if(q===undefined)q=0
  if(q>util.recursionLimit)
  throw Error("max depth exceeded")
  if(m.nr_frames!=null&&Object.hasOwnProperty.call(m,"nr_frames")&&m.nr_frames!==0)
  w.uint32(8).uint32(m.nr_frames)
  if(m.$unknowns!=null&&Object.hasOwnProperty.call(m,"$unknowns"))
  for(var i=0;i<m.$unknowns.length;++i)
  w.raw(m.$unknowns[i])
  return w
},
decode: function (r,l,z,q,g){
  if(!(r instanceof Reader))
  r=Reader.create(r)
  if(q===undefined)q=0
  if(q>Reader.recursionLimit)
  throw Error("max depth exceeded")
  var c,m,v
  if(l===undefined)
  c=r.len
  else{
  c=r.pos+l
  if(c>r.len)
  throw RangeError("index out of range")
  l=r.len
  r.len=c
  }
  m=g||new C
  while(r.pos<c){
  var s=r.pos
  var t=r.tag()
  if(t===z){
  z=undefined
  break
  }
  var u=t&7
  switch(t>>>=3){
  case 1:{
  if(u!==0)
  break
  if(v=r.uint32())
  m.nr_frames=v
  else
  delete m.nr_frames
  continue
  }
  }
  r.skipType(u,q,t)
  if(!r.discardUnknown){
  util.makeProp(m,"$unknowns",false);
  (m.$unknowns||(m.$unknowns=[])).push(r.raw(s,r.pos))
  }
  }
  if(l!==undefined){
  if(r.pos!==c)
  throw RangeError("index out of range")
  r.len=l
  }
  if(z!==undefined)
  throw Error("missing end group")
  return m
},
});
}
{
const types = [MESSAGES.FileHandle, undefined];
const C = classOf({ file: null, nr_frames: 0 });
Object.assign(MESSAGES.GnttabTable, {
encode: function (m,w,q){
  if(!w)
  w=Writer.create()
  if(q===undefined)q=0
  if(q>util.recursionLimit)
  throw Error("max depth exceeded")
  if(m.file!=null&&Object.hasOwnProperty.call(m,"file"))
  types[0].encode(m.file,w.uint32(10).fork(),q+1).ldelim()
  if(m.nr_frames!=null&&Object.hasOwnProperty.call(m,"nr_frames")&&m.nr_frames!==0)
  w.uint32(16).uint32(m.nr_frames)
  if(m.$unknowns!=null&&Object.hasOwnProperty.call(m,"$unknowns"))
  for(var i=0;i<m.$unknowns.length;++i)
  w.raw(m.$unknowns[i])
  return w
},
decode: function (r,l,z,q,g){
  if(!(r instanceof Reader))
  r=Reader.create(r)
  if(q===undefined)q=0
  if(q>Reader.recursionLimit)
  throw Error("max depth exceeded")
  var c,m,v
  if(l===undefined)
  c=r.len
  else{
  c=r.pos+l
  if(c>r.len)
  throw RangeError("index out of range")
  l=r.len
  r.len=c
  }
  m=g||new C
  while(r.pos<c){
  var s=r.pos
  var t=r.tag()
  if(t===z){
  z=undefined
  break
  }
  var u=t&7
  switch(t>>>=3){
  case 1:{
  if(u!==2)
  break
  m.file=types[0].decode(r,r.size(),undefined,q+1,m.file)
  continue
  }
  case 2:{
  if(u!==0)
  break
  if(v=r.uint32())
  m.nr_frames=v
  else
  delete m.nr_frames
  continue
  }
  }
  r.skipType(u,q,t)
  if(!r.discardUnknown){
  util.makeProp(m,"$unknowns",false);
  (m.$unknowns||(m.$unknowns=[])).push(r.raw(s,r.pos))
  }
  }
  if(l!==undefined){
  if(r.pos!==c)
  throw RangeError("index out of range")
  r.len=l
  }
  if(z!==undefined)
  throw Error("missing end group")
  return m
},
});
}
{
const types = [undefined];
const C = classOf({ domid: 0 });
Object.assign(MESSAGES.GntdevOpen, {
encode: function (m,w,q){
  if(!w)
  w=Writer.create()
  if(q===undefined)q=0
  if(q>util.recursionLimit)
  throw Error("max depth exceeded")
  if(m.domid!=null&&Object.hasOwnProperty.call(m,"domid")&&m.domid!==0)
  w.uint32(8).uint32(m.domid)
  if(m.$unknowns!=null&&Object.hasOwnProperty.call(m,"$unknowns"))
  for(var i=0;i<m.$unknowns.length;++i)
  w.raw(m.$unknowns[i])
  return w
},
decode: function (r,l,z,q,g){
  if(!(r instanceof Reader))
  r=Reader.create(r)
  if(q===undefined)q=0
  if(q>Reader.recursionLimit)
  throw Error("max depth exceeded")
  var c,m,v
  if(l===undefined)
  c=r.len
  else{
  c=r.pos+l
  if(c>r.len)
  throw RangeError("index out of range")
  l=r.len
  r.len=c
  }
  m=g||new C
  while(r.pos<c){
  var s=r.pos
  var t=r.tag()
  if(t===z){
  z=undefined
  break
  }
  var u=t&7
  switch(t>>>=3){
  case 1:{
  if(u!==0)
  break
  if(v=r.uint32())
  m.domid=v
  else
  delete m.domid
  continue
  }
  }
  r.skipType(u,q,t)
  if(!r.discardUnknown){
  util.makeProp(m,"$unknowns",false);
  (m.$unknowns||(m.$unknowns=[])).push(r.raw(s,r.pos))
  }
  }
  if(l!==undefined){
  if(r.pos!==c)
  throw RangeError("index out of range")
  r.len=l
  }
  if(z!==undefined)
  throw Error("missing end group")
  return m
},
});
}
{
const types = [undefined, undefined, undefined];
const C = classOf({ domid: 0, refs: util.emptyArray, readonly: false });
Object.assign(MESSAGES.GntdevMap, {
encode: function (m,w,q){
  if(!w)
  w=Writer.create()
  if(q===undefined)q=0
  if(q>util.recursionLimit)
  throw Error("max depth exceeded")
  if(m.domid!=null&&Object.hasOwnProperty.call(m,"domid")&&m.domid!==0)
  w.uint32(8).uint32(m.domid)
  if(m.refs!=null&&m.refs.length){
  w.uint32(18).uint32s(m.refs)
  }
  if(m.readonly!=null&&Object.hasOwnProperty.call(m,"readonly")&&m.readonly!==false)
  w.uint32(24).bool(m.readonly)
  if(m.$unknowns!=null&&Object.hasOwnProperty.call(m,"$unknowns"))
  for(var i=0;i<m.$unknowns.length;++i)
  w.raw(m.$unknowns[i])
  return w
},
decode: function (r,l,z,q,g){
  if(!(r instanceof Reader))
  r=Reader.create(r)
  if(q===undefined)q=0
  if(q>Reader.recursionLimit)
  throw Error("max depth exceeded")
  var c,m,v
  if(l===undefined)
  c=r.len
  else{
  c=r.pos+l
  if(c>r.len)
  throw RangeError("index out of range")
  l=r.len
  r.len=c
  }
  m=g||new C
  while(r.pos<c){
  var s=r.pos
  var t=r.tag()
  if(t===z){
  z=undefined
  break
  }
  var u=t&7
  switch(t>>>=3){
  case 1:{
  if(u!==0)
  break
  if(v=r.uint32())
  m.domid=v
  else
  delete m.domid
  continue
  }
  case 2:
  {
  if(u===2){
  if(!(m.refs&&m.refs.length))
  m.refs=[]
  r.uint32s(m.refs)
  continue
  }
  if(u!==0)
  break
  if(!(m.refs&&m.refs.length))
  m.refs=[]
  m.refs.push(r.uint32())
  continue
  }
  case 3:{
  if(u!==0)
  break
  if(v=r.bool())
  m.readonly=v
  else
  delete m.readonly
  continue
  }
  }
  r.skipType(u,q,t)
  if(!r.discardUnknown){
  util.makeProp(m,"$unknowns",false);
  (m.$unknowns||(m.$unknowns=[])).push(r.raw(s,r.pos))
  }
  }
  if(l!==undefined){
  if(r.pos!==c)
  throw RangeError("index out of range")
  r.len=l
  }
  if(z!==undefined)
  throw Error("missing end group")
  return m
},
});
}
{
const types = [undefined, undefined, undefined];
const C = classOf({ status: 0, handle: 0, gfn: 0 });
Object.assign(MESSAGES.GntdevMapped, {
encode: function (m,w,q){
  if(!w)
  w=Writer.create()
  if(q===undefined)q=0
  if(q>util.recursionLimit)
  throw Error("max depth exceeded")
  if(m.status!=null&&Object.hasOwnProperty.call(m,"status")&&m.status!==0)
  w.uint32(8).sint32(m.status)
  if(m.handle!=null&&Object.hasOwnProperty.call(m,"handle")&&m.handle!==0)
  w.uint32(16).uint32(m.handle)
  if(m.gfn!=null&&Object.hasOwnProperty.call(m,"gfn")&&(typeof m.gfn==="object"?m.gfn.low||m.gfn.high:m.gfn!==0))
  w.uint32(24).uint64(m.gfn)
  if(m.$unknowns!=null&&Object.hasOwnProperty.call(m,"$unknowns"))
  for(var i=0;i<m.$unknowns.length;++i)
  w.raw(m.$unknowns[i])
  return w
},
decode: function (r,l,z,q,g){
  if(!(r instanceof Reader))
  r=Reader.create(r)
  if(q===undefined)q=0
  if(q>Reader.recursionLimit)
  throw Error("max depth exceeded")
  var c,m,v
  if(l===undefined)
  c=r.len
  else{
  c=r.pos+l
  if(c>r.len)
  throw RangeError("index out of range")
  l=r.len
  r.len=c
  }
  m=g||new C
  while(r.pos<c){
  var s=r.pos
  var t=r.tag()
  if(t===z){
  z=undefined
  break
  }
  var u=t&7
  switch(t>>>=3){
  case 1:{
  if(u!==0)
  break
  if(v=r.sint32())
  m.status=v
  else
  delete m.status
  continue
  }
  case 2:{
  if(u!==0)
  break
  if(v=r.uint32())
  m.handle=v
  else
  delete m.handle
  continue
  }
  case 3:{
  if(u!==0)
  break
  if(typeof(v=r.uint64())==="object"?v.low||v.high:v!==0)
  m.gfn=v
  else
  delete m.gfn
  continue
  }
  }
  r.skipType(u,q,t)
  if(!r.discardUnknown){
  util.makeProp(m,"$unknowns",false);
  (m.$unknowns||(m.$unknowns=[])).push(r.raw(s,r.pos))
  }
  }
  if(l!==undefined){
  if(r.pos!==c)
  throw RangeError("index out of range")
  r.len=l
  }
  if(z!==undefined)
  throw Error("missing end group")
  return m
},
});
}
{
const types = [MESSAGES.GntdevMapped];
const C = classOf({ mapped: util.emptyArray });
Object.assign(MESSAGES.GntdevMapReply, {
encode: function (m,w,q){
  if(!w)
  w=Writer.create()
  if(q===undefined)q=0
  if(q>util.recursionLimit)
  throw Error("max depth exceeded")
  if(m.mapped!=null&&m.mapped.length){
  for(var i=0;i<m.mapped.length;++i)
  types[0].encode(m.mapped[i],w.uint32(10).fork(),q+1).ldelim()
  }
  if(m.$unknowns!=null&&Object.hasOwnProperty.call(m,"$unknowns"))
  for(var i=0;i<m.$unknowns.length;++i)
  w.raw(m.$unknowns[i])
  return w
},
decode: function (r,l,z,q,g){
  if(!(r instanceof Reader))
  r=Reader.create(r)
  if(q===undefined)q=0
  if(q>Reader.recursionLimit)
  throw Error("max depth exceeded")
  var c,m
  if(l===undefined)
  c=r.len
  else{
  c=r.pos+l
  if(c>r.len)
  throw RangeError("index out of range")
  l=r.len
  r.len=c
  }
  m=g||new C
  while(r.pos<c){
  var s=r.pos
  var t=r.tag()
  if(t===z){
  z=undefined
  break
  }
  var u=t&7
  switch(t>>>=3){
  case 1:
  {
  if(u!==2)
  break
  if(!(m.mapped&&m.mapped.length))
  m.mapped=[]
  m.mapped.push(types[0].decode(r,r.size(),undefined,q+1))
  continue
  }
  }
  r.skipType(u,q,t)
  if(!r.discardUnknown){
  util.makeProp(m,"$unknowns",false);
  (m.$unknowns||(m.$unknowns=[])).push(r.raw(s,r.pos))
  }
  }
  if(l!==undefined){
  if(r.pos!==c)
  throw RangeError("index out of range")
  r.len=l
  }
  if(z!==undefined)
  throw Error("missing end group")
  return m
},
});
}
{
const types = [undefined];
const C = classOf({ handles: util.emptyArray });
Object.assign(MESSAGES.GntdevUnmap, {
encode: function (m,w,q){
  if(!w)
  w=Writer.create()
  if(q===undefined)q=0
  if(q>util.recursionLimit)
  throw Error("max depth exceeded")
  if(m.handles!=null&&m.handles.length){
  w.uint32(10).uint32s(m.handles)
  }
  if(m.$unknowns!=null&&Object.hasOwnProperty.call(m,"$unknowns"))
  for(var i=0;i<m.$unknowns.length;++i)
  w.raw(m.$unknowns[i])
  return w
},
decode: function (r,l,z,q,g){
  if(!(r instanceof Reader))
  r=Reader.create(r)
  if(q===undefined)q=0
  if(q>Reader.recursionLimit)
  throw Error("max depth exceeded")
  var c,m
  if(l===undefined)
  c=r.len
  else{
  c=r.pos+l
  if(c>r.len)
  throw RangeError("index out of range")
  l=r.len
  r.len=c
  }
  m=g||new C
  while(r.pos<c){
  var s=r.pos
  var t=r.tag()
  if(t===z){
  z=undefined
  break
  }
  var u=t&7
  switch(t>>>=3){
  case 1:
  {
  if(u===2){
  if(!(m.handles&&m.handles.length))
  m.handles=[]
  r.uint32s(m.handles)
  continue
  }
  if(u!==0)
  break
  if(!(m.handles&&m.handles.length))
  m.handles=[]
  m.handles.push(r.uint32())
  continue
  }
  }
  r.skipType(u,q,t)
  if(!r.discardUnknown){
  util.makeProp(m,"$unknowns",false);
  (m.$unknowns||(m.$unknowns=[])).push(r.raw(s,r.pos))
  }
  }
  if(l!==undefined){
  if(r.pos!==c)
  throw RangeError("index out of range")
  r.len=l
  }
  if(z!==undefined)
  throw Error("missing end group")
  return m
},
});
}
{
const types = [undefined];
const C = classOf({ statuses: util.emptyArray });
Object.assign(MESSAGES.GntdevUnmapReply, {
encode: function (m,w,q){
  if(!w)
  w=Writer.create()
  if(q===undefined)q=0
  if(q>util.recursionLimit)
  throw Error("max depth exceeded")
  if(m.statuses!=null&&m.statuses.length){
  w.uint32(10).sint32s(m.statuses)
  }
  if(m.$unknowns!=null&&Object.hasOwnProperty.call(m,"$unknowns"))
  for(var i=0;i<m.$unknowns.length;++i)
  w.raw(m.$unknowns[i])
  return w
},
decode: function (r,l,z,q,g){
  if(!(r instanceof Reader))
  r=Reader.create(r)
  if(q===undefined)q=0
  if(q>Reader.recursionLimit)
  throw Error("max depth exceeded")
  var c,m
  if(l===undefined)
  c=r.len
  else{
  c=r.pos+l
  if(c>r.len)
  throw RangeError("index out of range")
  l=r.len
  r.len=c
  }
  m=g||new C
  while(r.pos<c){
  var s=r.pos
  var t=r.tag()
  if(t===z){
  z=undefined
  break
  }
  var u=t&7
  switch(t>>>=3){
  case 1:
  {
  if(u===2){
  if(!(m.statuses&&m.statuses.length))
  m.statuses=[]
  r.sint32s(m.statuses)
  continue
  }
  if(u!==0)
  break
  if(!(m.statuses&&m.statuses.length))
  m.statuses=[]
  m.statuses.push(r.sint32())
  continue
  }
  }
  r.skipType(u,q,t)
  if(!r.discardUnknown){
  util.makeProp(m,"$unknowns",false);
  (m.$unknowns||(m.$unknowns=[])).push(r.raw(s,r.pos))
  }
  }
  if(l!==undefined){
  if(r.pos!==c)
  throw RangeError("index out of range")
  r.len=l
  }
  if(z!==undefined)
  throw Error("missing end group")
  return m
},
});
}
{
const types = [undefined, undefined];
const C = classOf({ op: "", args: "" });
Object.assign(MESSAGES.Hypercall, {
encode: function (m,w,q){
  if(!w)
  w=Writer.create()
  if(q===undefined)q=0
  if(q>util.recursionLimit)
  throw Error("max depth exceeded")
  if(m.op!=null&&Object.hasOwnProperty.call(m,"op")&&m.op!=="")
  w.uint32(10).string(m.op)
  if(m.args!=null&&Object.hasOwnProperty.call(m,"args")&&m.args!=="")
  w.uint32(18).string(m.args)
  if(m.$unknowns!=null&&Object.hasOwnProperty.call(m,"$unknowns"))
  for(var i=0;i<m.$unknowns.length;++i)
  w.raw(m.$unknowns[i])
  return w
},
decode: function (r,l,z,q,g){
  if(!(r instanceof Reader))
  r=Reader.create(r)
  if(q===undefined)q=0
  if(q>Reader.recursionLimit)
  throw Error("max depth exceeded")
  var c,m,v
  if(l===undefined)
  c=r.len
  else{
  c=r.pos+l
  if(c>r.len)
  throw RangeError("index out of range")
  l=r.len
  r.len=c
  }
  m=g||new C
  while(r.pos<c){
  var s=r.pos
  var t=r.tag()
  if(t===z){
  z=undefined
  break
  }
  var u=t&7
  switch(t>>>=3){
  case 1:{
  if(u!==2)
  break
  if((v=r.stringVerify()).length)
  m.op=v
  else
  delete m.op
  continue
  }
  case 2:{
  if(u!==2)
  break
  if((v=r.stringVerify()).length)
  m.args=v
  else
  delete m.args
  continue
  }
  }
  r.skipType(u,q,t)
  if(!r.discardUnknown){
  util.makeProp(m,"$unknowns",false);
  (m.$unknowns||(m.$unknowns=[])).push(r.raw(s,r.pos))
  }
  }
  if(l!==undefined){
  if(r.pos!==c)
  throw RangeError("index out of range")
  r.len=l
  }
  if(z!==undefined)
  throw Error("missing end group")
  return m
},
});
}
{
const types = [undefined, undefined];
const C = classOf({ rc: 0, out: "" });
Object.assign(MESSAGES.HypercallReply, {
encode: function (m,w,q){
  if(!w)
  w=Writer.create()
  if(q===undefined)q=0
  if(q>util.recursionLimit)
  throw Error("max depth exceeded")
  if(m.rc!=null&&Object.hasOwnProperty.call(m,"rc")&&m.rc!==0)
  w.uint32(8).sint32(m.rc)
  if(m.out!=null&&Object.hasOwnProperty.call(m,"out")&&m.out!=="")
  w.uint32(18).string(m.out)
  if(m.$unknowns!=null&&Object.hasOwnProperty.call(m,"$unknowns"))
  for(var i=0;i<m.$unknowns.length;++i)
  w.raw(m.$unknowns[i])
  return w
},
decode: function (r,l,z,q,g){
  if(!(r instanceof Reader))
  r=Reader.create(r)
  if(q===undefined)q=0
  if(q>Reader.recursionLimit)
  throw Error("max depth exceeded")
  var c,m,v
  if(l===undefined)
  c=r.len
  else{
  c=r.pos+l
  if(c>r.len)
  throw RangeError("index out of range")
  l=r.len
  r.len=c
  }
  m=g||new C
  while(r.pos<c){
  var s=r.pos
  var t=r.tag()
  if(t===z){
  z=undefined
  break
  }
  var u=t&7
  switch(t>>>=3){
  case 1:{
  if(u!==0)
  break
  if(v=r.sint32())
  m.rc=v
  else
  delete m.rc
  continue
  }
  case 2:{
  if(u!==2)
  break
  if((v=r.stringVerify()).length)
  m.out=v
  else
  delete m.out
  continue
  }
  }
  r.skipType(u,q,t)
  if(!r.discardUnknown){
  util.makeProp(m,"$unknowns",false);
  (m.$unknowns||(m.$unknowns=[])).push(r.raw(s,r.pos))
  }
  }
  if(l!==undefined){
  if(r.pos!==c)
  throw RangeError("index out of range")
  r.len=l
  }
  if(z!==undefined)
  throw Error("missing end group")
  return m
},
});
}
{
const types = [undefined, undefined];
const C = classOf({ bell: "", bit: 0 });
Object.assign(MESSAGES.BellHandle, {
encode: function (m,w,q){
  if(!w)
  w=Writer.create()
  if(q===undefined)q=0
  if(q>util.recursionLimit)
  throw Error("max depth exceeded")
  if(m.bell!=null&&Object.hasOwnProperty.call(m,"bell")&&m.bell!=="")
  w.uint32(10).string(m.bell)
  if(m.bit!=null&&Object.hasOwnProperty.call(m,"bit")&&m.bit!==0)
  w.uint32(16).uint32(m.bit)
  if(m.$unknowns!=null&&Object.hasOwnProperty.call(m,"$unknowns"))
  for(var i=0;i<m.$unknowns.length;++i)
  w.raw(m.$unknowns[i])
  return w
},
decode: function (r,l,z,q,g){
  if(!(r instanceof Reader))
  r=Reader.create(r)
  if(q===undefined)q=0
  if(q>Reader.recursionLimit)
  throw Error("max depth exceeded")
  var c,m,v
  if(l===undefined)
  c=r.len
  else{
  c=r.pos+l
  if(c>r.len)
  throw RangeError("index out of range")
  l=r.len
  r.len=c
  }
  m=g||new C
  while(r.pos<c){
  var s=r.pos
  var t=r.tag()
  if(t===z){
  z=undefined
  break
  }
  var u=t&7
  switch(t>>>=3){
  case 1:{
  if(u!==2)
  break
  if((v=r.stringVerify()).length)
  m.bell=v
  else
  delete m.bell
  continue
  }
  case 2:{
  if(u!==0)
  break
  if(v=r.uint32())
  m.bit=v
  else
  delete m.bit
  continue
  }
  }
  r.skipType(u,q,t)
  if(!r.discardUnknown){
  util.makeProp(m,"$unknowns",false);
  (m.$unknowns||(m.$unknowns=[])).push(r.raw(s,r.pos))
  }
  }
  if(l!==undefined){
  if(r.pos!==c)
  throw RangeError("index out of range")
  r.len=l
  }
  if(z!==undefined)
  throw Error("missing end group")
  return m
},
});
}
{
const types = [undefined, undefined, undefined];
const C = classOf({ path: "", size: 0, offset: 0 });
Object.assign(MESSAGES.FileHandle, {
encode: function (m,w,q){
  if(!w)
  w=Writer.create()
  if(q===undefined)q=0
  if(q>util.recursionLimit)
  throw Error("max depth exceeded")
  if(m.path!=null&&Object.hasOwnProperty.call(m,"path")&&m.path!=="")
  w.uint32(10).string(m.path)
  if(m.size!=null&&Object.hasOwnProperty.call(m,"size")&&(typeof m.size==="object"?m.size.low||m.size.high:m.size!==0))
  w.uint32(16).uint64(m.size)
  if(m.offset!=null&&Object.hasOwnProperty.call(m,"offset")&&(typeof m.offset==="object"?m.offset.low||m.offset.high:m.offset!==0))
  w.uint32(24).uint64(m.offset)
  if(m.$unknowns!=null&&Object.hasOwnProperty.call(m,"$unknowns"))
  for(var i=0;i<m.$unknowns.length;++i)
  w.raw(m.$unknowns[i])
  return w
},
decode: function (r,l,z,q,g){
  if(!(r instanceof Reader))
  r=Reader.create(r)
  if(q===undefined)q=0
  if(q>Reader.recursionLimit)
  throw Error("max depth exceeded")
  var c,m,v
  if(l===undefined)
  c=r.len
  else{
  c=r.pos+l
  if(c>r.len)
  throw RangeError("index out of range")
  l=r.len
  r.len=c
  }
  m=g||new C
  while(r.pos<c){
  var s=r.pos
  var t=r.tag()
  if(t===z){
  z=undefined
  break
  }
  var u=t&7
  switch(t>>>=3){
  case 1:{
  if(u!==2)
  break
  if((v=r.stringVerify()).length)
  m.path=v
  else
  delete m.path
  continue
  }
  case 2:{
  if(u!==0)
  break
  if(typeof(v=r.uint64())==="object"?v.low||v.high:v!==0)
  m.size=v
  else
  delete m.size
  continue
  }
  case 3:{
  if(u!==0)
  break
  if(typeof(v=r.uint64())==="object"?v.low||v.high:v!==0)
  m.offset=v
  else
  delete m.offset
  continue
  }
  }
  r.skipType(u,q,t)
  if(!r.discardUnknown){
  util.makeProp(m,"$unknowns",false);
  (m.$unknowns||(m.$unknowns=[])).push(r.raw(s,r.pos))
  }
  }
  if(l!==undefined){
  if(r.pos!==c)
  throw RangeError("index out of range")
  r.len=l
  }
  if(z!==undefined)
  throw Error("missing end group")
  return m
},
});
}
{
const types = [MESSAGES.FileHandle, MESSAGES.FileHandle];
const C = classOf({ ram: null, table: null });
Object.assign(MESSAGES.GrantHandle, {
encode: function (m,w,q){
  if(!w)
  w=Writer.create()
  if(q===undefined)q=0
  if(q>util.recursionLimit)
  throw Error("max depth exceeded")
  if(m.ram!=null&&Object.hasOwnProperty.call(m,"ram"))
  types[0].encode(m.ram,w.uint32(10).fork(),q+1).ldelim()
  if(m.table!=null&&Object.hasOwnProperty.call(m,"table"))
  types[1].encode(m.table,w.uint32(18).fork(),q+1).ldelim()
  if(m.$unknowns!=null&&Object.hasOwnProperty.call(m,"$unknowns"))
  for(var i=0;i<m.$unknowns.length;++i)
  w.raw(m.$unknowns[i])
  return w
},
decode: function (r,l,z,q,g){
  if(!(r instanceof Reader))
  r=Reader.create(r)
  if(q===undefined)q=0
  if(q>Reader.recursionLimit)
  throw Error("max depth exceeded")
  var c,m,v
  if(l===undefined)
  c=r.len
  else{
  c=r.pos+l
  if(c>r.len)
  throw RangeError("index out of range")
  l=r.len
  r.len=c
  }
  m=g||new C
  while(r.pos<c){
  var s=r.pos
  var t=r.tag()
  if(t===z){
  z=undefined
  break
  }
  var u=t&7
  switch(t>>>=3){
  case 1:{
  if(u!==2)
  break
  m.ram=types[0].decode(r,r.size(),undefined,q+1,m.ram)
  continue
  }
  case 2:{
  if(u!==2)
  break
  m.table=types[1].decode(r,r.size(),undefined,q+1,m.table)
  continue
  }
  }
  r.skipType(u,q,t)
  if(!r.discardUnknown){
  util.makeProp(m,"$unknowns",false);
  (m.$unknowns||(m.$unknowns=[])).push(r.raw(s,r.pos))
  }
  }
  if(l!==undefined){
  if(r.pos!==c)
  throw RangeError("index out of range")
  r.len=l
  }
  if(z!==undefined)
  throw Error("missing end group")
  return m
},
});
}
{
const types = [undefined];
const C = classOf({ bits: util.emptyArray });
Object.assign(MESSAGES.Ring, {
encode: function (m,w,q){
  if(!w)
  w=Writer.create()
  if(q===undefined)q=0
  if(q>util.recursionLimit)
  throw Error("max depth exceeded")
  if(m.bits!=null&&m.bits.length){
  w.uint32(10).uint32s(m.bits)
  }
  if(m.$unknowns!=null&&Object.hasOwnProperty.call(m,"$unknowns"))
  for(var i=0;i<m.$unknowns.length;++i)
  w.raw(m.$unknowns[i])
  return w
},
decode: function (r,l,z,q,g){
  if(!(r instanceof Reader))
  r=Reader.create(r)
  if(q===undefined)q=0
  if(q>Reader.recursionLimit)
  throw Error("max depth exceeded")
  var c,m
  if(l===undefined)
  c=r.len
  else{
  c=r.pos+l
  if(c>r.len)
  throw RangeError("index out of range")
  l=r.len
  r.len=c
  }
  m=g||new C
  while(r.pos<c){
  var s=r.pos
  var t=r.tag()
  if(t===z){
  z=undefined
  break
  }
  var u=t&7
  switch(t>>>=3){
  case 1:
  {
  if(u===2){
  if(!(m.bits&&m.bits.length))
  m.bits=[]
  r.uint32s(m.bits)
  continue
  }
  if(u!==0)
  break
  if(!(m.bits&&m.bits.length))
  m.bits=[]
  m.bits.push(r.uint32())
  continue
  }
  }
  r.skipType(u,q,t)
  if(!r.discardUnknown){
  util.makeProp(m,"$unknowns",false);
  (m.$unknowns||(m.$unknowns=[])).push(r.raw(s,r.pos))
  }
  }
  if(l!==undefined){
  if(r.pos!==c)
  throw RangeError("index out of range")
  r.len=l
  }
  if(z!==undefined)
  throw Error("missing end group")
  return m
},
});
}
{
const types = [MESSAGES.FileHandle, MESSAGES.BellHandle, MESSAGES.GrantHandle];
const C = classOf({ file: null, bell: null, grants: null });
Object.assign(MESSAGES.VhostUserHandle, {
encode: function (m,w,q){
  if(!w)
  w=Writer.create()
  if(q===undefined)q=0
  if(q>util.recursionLimit)
  throw Error("max depth exceeded")
  if(m.file!=null&&Object.hasOwnProperty.call(m,"file"))
  types[0].encode(m.file,w.uint32(10).fork(),q+1).ldelim()
  if(m.bell!=null&&Object.hasOwnProperty.call(m,"bell"))
  types[1].encode(m.bell,w.uint32(18).fork(),q+1).ldelim()
  if(m.grants!=null&&Object.hasOwnProperty.call(m,"grants"))
  types[2].encode(m.grants,w.uint32(26).fork(),q+1).ldelim()
  if(m.$unknowns!=null&&Object.hasOwnProperty.call(m,"$unknowns"))
  for(var i=0;i<m.$unknowns.length;++i)
  w.raw(m.$unknowns[i])
  return w
},
decode: function (r,l,z,q,g){
  if(!(r instanceof Reader))
  r=Reader.create(r)
  if(q===undefined)q=0
  if(q>Reader.recursionLimit)
  throw Error("max depth exceeded")
  var c,m,v
  if(l===undefined)
  c=r.len
  else{
  c=r.pos+l
  if(c>r.len)
  throw RangeError("index out of range")
  l=r.len
  r.len=c
  }
  m=g||new C
  while(r.pos<c){
  var s=r.pos
  var t=r.tag()
  if(t===z){
  z=undefined
  break
  }
  var u=t&7
  switch(t>>>=3){
  case 1:{
  if(u!==2)
  break
  m.file=types[0].decode(r,r.size(),undefined,q+1,m.file)
  continue
  }
  case 2:{
  if(u!==2)
  break
  m.bell=types[1].decode(r,r.size(),undefined,q+1,m.bell)
  continue
  }
  case 3:{
  if(u!==2)
  break
  m.grants=types[2].decode(r,r.size(),undefined,q+1,m.grants)
  continue
  }
  }
  r.skipType(u,q,t)
  if(!r.discardUnknown){
  util.makeProp(m,"$unknowns",false);
  (m.$unknowns||(m.$unknowns=[])).push(r.raw(s,r.pos))
  }
  }
  if(l!==undefined){
  if(r.pos!==c)
  throw RangeError("index out of range")
  r.len=l
  }
  if(z!==undefined)
  throw Error("missing end group")
  return m
},
});
}
{
const types = [undefined, undefined, undefined, undefined, MESSAGES.VhostUserHandle];
const C = classOf({ session: 0, request: 0, flags: 0, payload: util.emptyArray, handles: util.emptyArray });
Object.assign(MESSAGES.VhostUserMessage, {
encode: function (m,w,q){
  if(!w)
  w=Writer.create()
  if(q===undefined)q=0
  if(q>util.recursionLimit)
  throw Error("max depth exceeded")
  if(m.session!=null&&Object.hasOwnProperty.call(m,"session")&&m.session!==0)
  w.uint32(8).uint32(m.session)
  if(m.request!=null&&Object.hasOwnProperty.call(m,"request")&&m.request!==0)
  w.uint32(16).uint32(m.request)
  if(m.flags!=null&&Object.hasOwnProperty.call(m,"flags")&&m.flags!==0)
  w.uint32(24).uint32(m.flags)
  if(m.payload!=null&&Object.hasOwnProperty.call(m,"payload")&&m.payload.length)
  w.uint32(34).bytes(m.payload)
  if(m.handles!=null&&m.handles.length){
  for(var i=0;i<m.handles.length;++i)
  types[4].encode(m.handles[i],w.uint32(42).fork(),q+1).ldelim()
  }
  if(m.$unknowns!=null&&Object.hasOwnProperty.call(m,"$unknowns"))
  for(var i=0;i<m.$unknowns.length;++i)
  w.raw(m.$unknowns[i])
  return w
},
decode: function (r,l,z,q,g){
  if(!(r instanceof Reader))
  r=Reader.create(r)
  if(q===undefined)q=0
  if(q>Reader.recursionLimit)
  throw Error("max depth exceeded")
  var c,m,v
  if(l===undefined)
  c=r.len
  else{
  c=r.pos+l
  if(c>r.len)
  throw RangeError("index out of range")
  l=r.len
  r.len=c
  }
  m=g||new C
  while(r.pos<c){
  var s=r.pos
  var t=r.tag()
  if(t===z){
  z=undefined
  break
  }
  var u=t&7
  switch(t>>>=3){
  case 1:{
  if(u!==0)
  break
  if(v=r.uint32())
  m.session=v
  else
  delete m.session
  continue
  }
  case 2:{
  if(u!==0)
  break
  if(v=r.uint32())
  m.request=v
  else
  delete m.request
  continue
  }
  case 3:{
  if(u!==0)
  break
  if(v=r.uint32())
  m.flags=v
  else
  delete m.flags
  continue
  }
  case 4:{
  if(u!==2)
  break
  if((v=r.bytes()).length)
  m.payload=v
  else
  delete m.payload
  continue
  }
  case 5:
  {
  if(u!==2)
  break
  if(!(m.handles&&m.handles.length))
  m.handles=[]
  m.handles.push(types[4].decode(r,r.size(),undefined,q+1))
  continue
  }
  }
  r.skipType(u,q,t)
  if(!r.discardUnknown){
  util.makeProp(m,"$unknowns",false);
  (m.$unknowns||(m.$unknowns=[])).push(r.raw(s,r.pos))
  }
  }
  if(l!==undefined){
  if(r.pos!==c)
  throw RangeError("index out of range")
  r.len=l
  }
  if(z!==undefined)
  throw Error("missing end group")
  return m
},
});
}
{
const types = [undefined, undefined];
const C = classOf({ name: "", queue_count: 0 });
Object.assign(MESSAGES.VhostUserOpen, {
encode: function (m,w,q){
  if(!w)
  w=Writer.create()
  if(q===undefined)q=0
  if(q>util.recursionLimit)
  throw Error("max depth exceeded")
  if(m.name!=null&&Object.hasOwnProperty.call(m,"name")&&m.name!=="")
  w.uint32(10).string(m.name)
  if(m.queue_count!=null&&Object.hasOwnProperty.call(m,"queue_count")&&m.queue_count!==0)
  w.uint32(16).uint32(m.queue_count)
  if(m.$unknowns!=null&&Object.hasOwnProperty.call(m,"$unknowns"))
  for(var i=0;i<m.$unknowns.length;++i)
  w.raw(m.$unknowns[i])
  return w
},
decode: function (r,l,z,q,g){
  if(!(r instanceof Reader))
  r=Reader.create(r)
  if(q===undefined)q=0
  if(q>Reader.recursionLimit)
  throw Error("max depth exceeded")
  var c,m,v
  if(l===undefined)
  c=r.len
  else{
  c=r.pos+l
  if(c>r.len)
  throw RangeError("index out of range")
  l=r.len
  r.len=c
  }
  m=g||new C
  while(r.pos<c){
  var s=r.pos
  var t=r.tag()
  if(t===z){
  z=undefined
  break
  }
  var u=t&7
  switch(t>>>=3){
  case 1:{
  if(u!==2)
  break
  if((v=r.stringVerify()).length)
  m.name=v
  else
  delete m.name
  continue
  }
  case 2:{
  if(u!==0)
  break
  if(v=r.uint32())
  m.queue_count=v
  else
  delete m.queue_count
  continue
  }
  }
  r.skipType(u,q,t)
  if(!r.discardUnknown){
  util.makeProp(m,"$unknowns",false);
  (m.$unknowns||(m.$unknowns=[])).push(r.raw(s,r.pos))
  }
  }
  if(l!==undefined){
  if(r.pos!==c)
  throw RangeError("index out of range")
  r.len=l
  }
  if(z!==undefined)
  throw Error("missing end group")
  return m
},
});
}
{
const types = [undefined, MESSAGES.BellHandle];
const C = classOf({ session: 0, first_kick: null });
Object.assign(MESSAGES.VhostUserSession, {
encode: function (m,w,q){
  if(!w)
  w=Writer.create()
  if(q===undefined)q=0
  if(q>util.recursionLimit)
  throw Error("max depth exceeded")
  if(m.session!=null&&Object.hasOwnProperty.call(m,"session")&&m.session!==0)
  w.uint32(8).uint32(m.session)
  if(m.first_kick!=null&&Object.hasOwnProperty.call(m,"first_kick"))
  types[1].encode(m.first_kick,w.uint32(18).fork(),q+1).ldelim()
  if(m.$unknowns!=null&&Object.hasOwnProperty.call(m,"$unknowns"))
  for(var i=0;i<m.$unknowns.length;++i)
  w.raw(m.$unknowns[i])
  return w
},
decode: function (r,l,z,q,g){
  if(!(r instanceof Reader))
  r=Reader.create(r)
  if(q===undefined)q=0
  if(q>Reader.recursionLimit)
  throw Error("max depth exceeded")
  var c,m,v
  if(l===undefined)
  c=r.len
  else{
  c=r.pos+l
  if(c>r.len)
  throw RangeError("index out of range")
  l=r.len
  r.len=c
  }
  m=g||new C
  while(r.pos<c){
  var s=r.pos
  var t=r.tag()
  if(t===z){
  z=undefined
  break
  }
  var u=t&7
  switch(t>>>=3){
  case 1:{
  if(u!==0)
  break
  if(v=r.uint32())
  m.session=v
  else
  delete m.session
  continue
  }
  case 2:{
  if(u!==2)
  break
  m.first_kick=types[1].decode(r,r.size(),undefined,q+1,m.first_kick)
  continue
  }
  }
  r.skipType(u,q,t)
  if(!r.discardUnknown){
  util.makeProp(m,"$unknowns",false);
  (m.$unknowns||(m.$unknowns=[])).push(r.raw(s,r.pos))
  }
  }
  if(l!==undefined){
  if(r.pos!==c)
  throw RangeError("index out of range")
  r.len=l
  }
  if(z!==undefined)
  throw Error("missing end group")
  return m
},
});
}
{
const types = [undefined];
const C = classOf({ session: 0 });
Object.assign(MESSAGES.VhostUserClose, {
encode: function (m,w,q){
  if(!w)
  w=Writer.create()
  if(q===undefined)q=0
  if(q>util.recursionLimit)
  throw Error("max depth exceeded")
  if(m.session!=null&&Object.hasOwnProperty.call(m,"session")&&m.session!==0)
  w.uint32(8).uint32(m.session)
  if(m.$unknowns!=null&&Object.hasOwnProperty.call(m,"$unknowns"))
  for(var i=0;i<m.$unknowns.length;++i)
  w.raw(m.$unknowns[i])
  return w
},
decode: function (r,l,z,q,g){
  if(!(r instanceof Reader))
  r=Reader.create(r)
  if(q===undefined)q=0
  if(q>Reader.recursionLimit)
  throw Error("max depth exceeded")
  var c,m,v
  if(l===undefined)
  c=r.len
  else{
  c=r.pos+l
  if(c>r.len)
  throw RangeError("index out of range")
  l=r.len
  r.len=c
  }
  m=g||new C
  while(r.pos<c){
  var s=r.pos
  var t=r.tag()
  if(t===z){
  z=undefined
  break
  }
  var u=t&7
  switch(t>>>=3){
  case 1:{
  if(u!==0)
  break
  if(v=r.uint32())
  m.session=v
  else
  delete m.session
  continue
  }
  }
  r.skipType(u,q,t)
  if(!r.discardUnknown){
  util.makeProp(m,"$unknowns",false);
  (m.$unknowns||(m.$unknowns=[])).push(r.raw(s,r.pos))
  }
  }
  if(l!==undefined){
  if(r.pos!==c)
  throw RangeError("index out of range")
  r.len=l
  }
  if(z!==undefined)
  throw Error("missing end group")
  return m
},
});
}
{
const types = [undefined, undefined, undefined];
const C = classOf({ name: "", scanout: 0, path: "" });
Object.assign(MESSAGES.ScreenshotRequest, {
encode: function (m,w,q){
  if(!w)
  w=Writer.create()
  if(q===undefined)q=0
  if(q>util.recursionLimit)
  throw Error("max depth exceeded")
  if(m.name!=null&&Object.hasOwnProperty.call(m,"name")&&m.name!=="")
  w.uint32(10).string(m.name)
  if(m.scanout!=null&&Object.hasOwnProperty.call(m,"scanout")&&m.scanout!==0)
  w.uint32(16).uint32(m.scanout)
  if(m.path!=null&&Object.hasOwnProperty.call(m,"path")&&m.path!=="")
  w.uint32(26).string(m.path)
  if(m.$unknowns!=null&&Object.hasOwnProperty.call(m,"$unknowns"))
  for(var i=0;i<m.$unknowns.length;++i)
  w.raw(m.$unknowns[i])
  return w
},
decode: function (r,l,z,q,g){
  if(!(r instanceof Reader))
  r=Reader.create(r)
  if(q===undefined)q=0
  if(q>Reader.recursionLimit)
  throw Error("max depth exceeded")
  var c,m,v
  if(l===undefined)
  c=r.len
  else{
  c=r.pos+l
  if(c>r.len)
  throw RangeError("index out of range")
  l=r.len
  r.len=c
  }
  m=g||new C
  while(r.pos<c){
  var s=r.pos
  var t=r.tag()
  if(t===z){
  z=undefined
  break
  }
  var u=t&7
  switch(t>>>=3){
  case 1:{
  if(u!==2)
  break
  if((v=r.stringVerify()).length)
  m.name=v
  else
  delete m.name
  continue
  }
  case 2:{
  if(u!==0)
  break
  if(v=r.uint32())
  m.scanout=v
  else
  delete m.scanout
  continue
  }
  case 3:{
  if(u!==2)
  break
  if((v=r.stringVerify()).length)
  m.path=v
  else
  delete m.path
  continue
  }
  }
  r.skipType(u,q,t)
  if(!r.discardUnknown){
  util.makeProp(m,"$unknowns",false);
  (m.$unknowns||(m.$unknowns=[])).push(r.raw(s,r.pos))
  }
  }
  if(l!==undefined){
  if(r.pos!==c)
  throw RangeError("index out of range")
  r.len=l
  }
  if(z!==undefined)
  throw Error("missing end group")
  return m
},
});
}
{
const types = [undefined, undefined, undefined, undefined];
const C = classOf({ width: 0, height: 0, flush_count: 0, first_flush_ns: 0 });
Object.assign(MESSAGES.Screenshot, {
encode: function (m,w,q){
  if(!w)
  w=Writer.create()
  if(q===undefined)q=0
  if(q>util.recursionLimit)
  throw Error("max depth exceeded")
  if(m.width!=null&&Object.hasOwnProperty.call(m,"width")&&m.width!==0)
  w.uint32(8).uint32(m.width)
  if(m.height!=null&&Object.hasOwnProperty.call(m,"height")&&m.height!==0)
  w.uint32(16).uint32(m.height)
  if(m.flush_count!=null&&Object.hasOwnProperty.call(m,"flush_count")&&(typeof m.flush_count==="object"?m.flush_count.low||m.flush_count.high:m.flush_count!==0))
  w.uint32(24).uint64(m.flush_count)
  if(m.first_flush_ns!=null&&Object.hasOwnProperty.call(m,"first_flush_ns")&&(typeof m.first_flush_ns==="object"?m.first_flush_ns.low||m.first_flush_ns.high:m.first_flush_ns!==0))
  w.uint32(32).uint64(m.first_flush_ns)
  if(m.$unknowns!=null&&Object.hasOwnProperty.call(m,"$unknowns"))
  for(var i=0;i<m.$unknowns.length;++i)
  w.raw(m.$unknowns[i])
  return w
},
decode: function (r,l,z,q,g){
  if(!(r instanceof Reader))
  r=Reader.create(r)
  if(q===undefined)q=0
  if(q>Reader.recursionLimit)
  throw Error("max depth exceeded")
  var c,m,v
  if(l===undefined)
  c=r.len
  else{
  c=r.pos+l
  if(c>r.len)
  throw RangeError("index out of range")
  l=r.len
  r.len=c
  }
  m=g||new C
  while(r.pos<c){
  var s=r.pos
  var t=r.tag()
  if(t===z){
  z=undefined
  break
  }
  var u=t&7
  switch(t>>>=3){
  case 1:{
  if(u!==0)
  break
  if(v=r.uint32())
  m.width=v
  else
  delete m.width
  continue
  }
  case 2:{
  if(u!==0)
  break
  if(v=r.uint32())
  m.height=v
  else
  delete m.height
  continue
  }
  case 3:{
  if(u!==0)
  break
  if(typeof(v=r.uint64())==="object"?v.low||v.high:v!==0)
  m.flush_count=v
  else
  delete m.flush_count
  continue
  }
  case 4:{
  if(u!==0)
  break
  if(typeof(v=r.uint64())==="object"?v.low||v.high:v!==0)
  m.first_flush_ns=v
  else
  delete m.first_flush_ns
  continue
  }
  }
  r.skipType(u,q,t)
  if(!r.discardUnknown){
  util.makeProp(m,"$unknowns",false);
  (m.$unknowns||(m.$unknowns=[])).push(r.raw(s,r.pos))
  }
  }
  if(l!==undefined){
  if(r.pos!==c)
  throw RangeError("index out of range")
  r.len=l
  }
  if(z!==undefined)
  throw Error("missing end group")
  return m
},
});
}
{
const types = [undefined, undefined, undefined, undefined];
const C = classOf({ name: "", scanout: 0, width: 0, height: 0 });
Object.assign(MESSAGES.DisplayResize, {
encode: function (m,w,q){
  if(!w)
  w=Writer.create()
  if(q===undefined)q=0
  if(q>util.recursionLimit)
  throw Error("max depth exceeded")
  if(m.name!=null&&Object.hasOwnProperty.call(m,"name")&&m.name!=="")
  w.uint32(10).string(m.name)
  if(m.scanout!=null&&Object.hasOwnProperty.call(m,"scanout")&&m.scanout!==0)
  w.uint32(16).uint32(m.scanout)
  if(m.width!=null&&Object.hasOwnProperty.call(m,"width")&&m.width!==0)
  w.uint32(24).uint32(m.width)
  if(m.height!=null&&Object.hasOwnProperty.call(m,"height")&&m.height!==0)
  w.uint32(32).uint32(m.height)
  if(m.$unknowns!=null&&Object.hasOwnProperty.call(m,"$unknowns"))
  for(var i=0;i<m.$unknowns.length;++i)
  w.raw(m.$unknowns[i])
  return w
},
decode: function (r,l,z,q,g){
  if(!(r instanceof Reader))
  r=Reader.create(r)
  if(q===undefined)q=0
  if(q>Reader.recursionLimit)
  throw Error("max depth exceeded")
  var c,m,v
  if(l===undefined)
  c=r.len
  else{
  c=r.pos+l
  if(c>r.len)
  throw RangeError("index out of range")
  l=r.len
  r.len=c
  }
  m=g||new C
  while(r.pos<c){
  var s=r.pos
  var t=r.tag()
  if(t===z){
  z=undefined
  break
  }
  var u=t&7
  switch(t>>>=3){
  case 1:{
  if(u!==2)
  break
  if((v=r.stringVerify()).length)
  m.name=v
  else
  delete m.name
  continue
  }
  case 2:{
  if(u!==0)
  break
  if(v=r.uint32())
  m.scanout=v
  else
  delete m.scanout
  continue
  }
  case 3:{
  if(u!==0)
  break
  if(v=r.uint32())
  m.width=v
  else
  delete m.width
  continue
  }
  case 4:{
  if(u!==0)
  break
  if(v=r.uint32())
  m.height=v
  else
  delete m.height
  continue
  }
  }
  r.skipType(u,q,t)
  if(!r.discardUnknown){
  util.makeProp(m,"$unknowns",false);
  (m.$unknowns||(m.$unknowns=[])).push(r.raw(s,r.pos))
  }
  }
  if(l!==undefined){
  if(r.pos!==c)
  throw RangeError("index out of range")
  r.len=l
  }
  if(z!==undefined)
  throw Error("missing end group")
  return m
},
});
}
{
const types = [undefined, undefined, undefined];
const C = classOf({ name: "", scanout: 0, row_bytes: 0 });
Object.assign(MESSAGES.DisplayWatch, {
encode: function (m,w,q){
  if(!w)
  w=Writer.create()
  if(q===undefined)q=0
  if(q>util.recursionLimit)
  throw Error("max depth exceeded")
  if(m.name!=null&&Object.hasOwnProperty.call(m,"name")&&m.name!=="")
  w.uint32(10).string(m.name)
  if(m.scanout!=null&&Object.hasOwnProperty.call(m,"scanout")&&m.scanout!==0)
  w.uint32(16).uint32(m.scanout)
  if(m.row_bytes!=null&&Object.hasOwnProperty.call(m,"row_bytes")&&m.row_bytes!==0)
  w.uint32(24).uint32(m.row_bytes)
  if(m.$unknowns!=null&&Object.hasOwnProperty.call(m,"$unknowns"))
  for(var i=0;i<m.$unknowns.length;++i)
  w.raw(m.$unknowns[i])
  return w
},
decode: function (r,l,z,q,g){
  if(!(r instanceof Reader))
  r=Reader.create(r)
  if(q===undefined)q=0
  if(q>Reader.recursionLimit)
  throw Error("max depth exceeded")
  var c,m,v
  if(l===undefined)
  c=r.len
  else{
  c=r.pos+l
  if(c>r.len)
  throw RangeError("index out of range")
  l=r.len
  r.len=c
  }
  m=g||new C
  while(r.pos<c){
  var s=r.pos
  var t=r.tag()
  if(t===z){
  z=undefined
  break
  }
  var u=t&7
  switch(t>>>=3){
  case 1:{
  if(u!==2)
  break
  if((v=r.stringVerify()).length)
  m.name=v
  else
  delete m.name
  continue
  }
  case 2:{
  if(u!==0)
  break
  if(v=r.uint32())
  m.scanout=v
  else
  delete m.scanout
  continue
  }
  case 3:{
  if(u!==0)
  break
  if(v=r.uint32())
  m.row_bytes=v
  else
  delete m.row_bytes
  continue
  }
  }
  r.skipType(u,q,t)
  if(!r.discardUnknown){
  util.makeProp(m,"$unknowns",false);
  (m.$unknowns||(m.$unknowns=[])).push(r.raw(s,r.pos))
  }
  }
  if(l!==undefined){
  if(r.pos!==c)
  throw RangeError("index out of range")
  r.len=l
  }
  if(z!==undefined)
  throw Error("missing end group")
  return m
},
});
}
{
const types = [undefined, undefined, undefined, undefined, undefined, undefined, undefined, undefined];
const C = classOf({ name: "", scanout: 0, flush_count: 0, ns: 0, width: 0, height: 0, top: util.emptyArray, bottom: util.emptyArray });
Object.assign(MESSAGES.DisplayFrame, {
encode: function (m,w,q){
  if(!w)
  w=Writer.create()
  if(q===undefined)q=0
  if(q>util.recursionLimit)
  throw Error("max depth exceeded")
  if(m.name!=null&&Object.hasOwnProperty.call(m,"name")&&m.name!=="")
  w.uint32(10).string(m.name)
  if(m.scanout!=null&&Object.hasOwnProperty.call(m,"scanout")&&m.scanout!==0)
  w.uint32(16).uint32(m.scanout)
  if(m.flush_count!=null&&Object.hasOwnProperty.call(m,"flush_count")&&(typeof m.flush_count==="object"?m.flush_count.low||m.flush_count.high:m.flush_count!==0))
  w.uint32(24).uint64(m.flush_count)
  if(m.ns!=null&&Object.hasOwnProperty.call(m,"ns")&&(typeof m.ns==="object"?m.ns.low||m.ns.high:m.ns!==0))
  w.uint32(32).uint64(m.ns)
  if(m.width!=null&&Object.hasOwnProperty.call(m,"width")&&m.width!==0)
  w.uint32(40).uint32(m.width)
  if(m.height!=null&&Object.hasOwnProperty.call(m,"height")&&m.height!==0)
  w.uint32(48).uint32(m.height)
  if(m.top!=null&&Object.hasOwnProperty.call(m,"top")&&m.top.length)
  w.uint32(58).bytes(m.top)
  if(m.bottom!=null&&Object.hasOwnProperty.call(m,"bottom")&&m.bottom.length)
  w.uint32(66).bytes(m.bottom)
  if(m.$unknowns!=null&&Object.hasOwnProperty.call(m,"$unknowns"))
  for(var i=0;i<m.$unknowns.length;++i)
  w.raw(m.$unknowns[i])
  return w
},
decode: function (r,l,z,q,g){
  if(!(r instanceof Reader))
  r=Reader.create(r)
  if(q===undefined)q=0
  if(q>Reader.recursionLimit)
  throw Error("max depth exceeded")
  var c,m,v
  if(l===undefined)
  c=r.len
  else{
  c=r.pos+l
  if(c>r.len)
  throw RangeError("index out of range")
  l=r.len
  r.len=c
  }
  m=g||new C
  while(r.pos<c){
  var s=r.pos
  var t=r.tag()
  if(t===z){
  z=undefined
  break
  }
  var u=t&7
  switch(t>>>=3){
  case 1:{
  if(u!==2)
  break
  if((v=r.stringVerify()).length)
  m.name=v
  else
  delete m.name
  continue
  }
  case 2:{
  if(u!==0)
  break
  if(v=r.uint32())
  m.scanout=v
  else
  delete m.scanout
  continue
  }
  case 3:{
  if(u!==0)
  break
  if(typeof(v=r.uint64())==="object"?v.low||v.high:v!==0)
  m.flush_count=v
  else
  delete m.flush_count
  continue
  }
  case 4:{
  if(u!==0)
  break
  if(typeof(v=r.uint64())==="object"?v.low||v.high:v!==0)
  m.ns=v
  else
  delete m.ns
  continue
  }
  case 5:{
  if(u!==0)
  break
  if(v=r.uint32())
  m.width=v
  else
  delete m.width
  continue
  }
  case 6:{
  if(u!==0)
  break
  if(v=r.uint32())
  m.height=v
  else
  delete m.height
  continue
  }
  case 7:{
  if(u!==2)
  break
  if((v=r.bytes()).length)
  m.top=v
  else
  delete m.top
  continue
  }
  case 8:{
  if(u!==2)
  break
  if((v=r.bytes()).length)
  m.bottom=v
  else
  delete m.bottom
  continue
  }
  }
  r.skipType(u,q,t)
  if(!r.discardUnknown){
  util.makeProp(m,"$unknowns",false);
  (m.$unknowns||(m.$unknowns=[])).push(r.raw(s,r.pos))
  }
  }
  if(l!==undefined){
  if(r.pos!==c)
  throw RangeError("index out of range")
  r.len=l
  }
  if(z!==undefined)
  throw Error("missing end group")
  return m
},
});
}
{
const types = [undefined, undefined];
const C = classOf({ name: "", scanout: 0 });
Object.assign(MESSAGES.DisplayScanout, {
encode: function (m,w,q){
  if(!w)
  w=Writer.create()
  if(q===undefined)q=0
  if(q>util.recursionLimit)
  throw Error("max depth exceeded")
  if(m.name!=null&&Object.hasOwnProperty.call(m,"name")&&m.name!=="")
  w.uint32(10).string(m.name)
  if(m.scanout!=null&&Object.hasOwnProperty.call(m,"scanout")&&m.scanout!==0)
  w.uint32(16).uint32(m.scanout)
  if(m.$unknowns!=null&&Object.hasOwnProperty.call(m,"$unknowns"))
  for(var i=0;i<m.$unknowns.length;++i)
  w.raw(m.$unknowns[i])
  return w
},
decode: function (r,l,z,q,g){
  if(!(r instanceof Reader))
  r=Reader.create(r)
  if(q===undefined)q=0
  if(q>Reader.recursionLimit)
  throw Error("max depth exceeded")
  var c,m,v
  if(l===undefined)
  c=r.len
  else{
  c=r.pos+l
  if(c>r.len)
  throw RangeError("index out of range")
  l=r.len
  r.len=c
  }
  m=g||new C
  while(r.pos<c){
  var s=r.pos
  var t=r.tag()
  if(t===z){
  z=undefined
  break
  }
  var u=t&7
  switch(t>>>=3){
  case 1:{
  if(u!==2)
  break
  if((v=r.stringVerify()).length)
  m.name=v
  else
  delete m.name
  continue
  }
  case 2:{
  if(u!==0)
  break
  if(v=r.uint32())
  m.scanout=v
  else
  delete m.scanout
  continue
  }
  }
  r.skipType(u,q,t)
  if(!r.discardUnknown){
  util.makeProp(m,"$unknowns",false);
  (m.$unknowns||(m.$unknowns=[])).push(r.raw(s,r.pos))
  }
  }
  if(l!==undefined){
  if(r.pos!==c)
  throw RangeError("index out of range")
  r.len=l
  }
  if(z!==undefined)
  throw Error("missing end group")
  return m
},
});
}
{
const types = [undefined, undefined, undefined, undefined, undefined, undefined];
const C = classOf({ visible: false, x: 0, y: 0, hot_x: 0, hot_y: 0, image: util.emptyArray });
Object.assign(MESSAGES.DisplayCursor, {
encode: function (m,w,q){
  if(!w)
  w=Writer.create()
  if(q===undefined)q=0
  if(q>util.recursionLimit)
  throw Error("max depth exceeded")
  if(m.visible!=null&&Object.hasOwnProperty.call(m,"visible")&&m.visible!==false)
  w.uint32(8).bool(m.visible)
  if(m.x!=null&&Object.hasOwnProperty.call(m,"x")&&m.x!==0)
  w.uint32(16).sint32(m.x)
  if(m.y!=null&&Object.hasOwnProperty.call(m,"y")&&m.y!==0)
  w.uint32(24).sint32(m.y)
  if(m.hot_x!=null&&Object.hasOwnProperty.call(m,"hot_x")&&m.hot_x!==0)
  w.uint32(32).uint32(m.hot_x)
  if(m.hot_y!=null&&Object.hasOwnProperty.call(m,"hot_y")&&m.hot_y!==0)
  w.uint32(40).uint32(m.hot_y)
  if(m.image!=null&&Object.hasOwnProperty.call(m,"image")&&m.image.length)
  w.uint32(50).bytes(m.image)
  if(m.$unknowns!=null&&Object.hasOwnProperty.call(m,"$unknowns"))
  for(var i=0;i<m.$unknowns.length;++i)
  w.raw(m.$unknowns[i])
  return w
},
decode: function (r,l,z,q,g){
  if(!(r instanceof Reader))
  r=Reader.create(r)
  if(q===undefined)q=0
  if(q>Reader.recursionLimit)
  throw Error("max depth exceeded")
  var c,m,v
  if(l===undefined)
  c=r.len
  else{
  c=r.pos+l
  if(c>r.len)
  throw RangeError("index out of range")
  l=r.len
  r.len=c
  }
  m=g||new C
  while(r.pos<c){
  var s=r.pos
  var t=r.tag()
  if(t===z){
  z=undefined
  break
  }
  var u=t&7
  switch(t>>>=3){
  case 1:{
  if(u!==0)
  break
  if(v=r.bool())
  m.visible=v
  else
  delete m.visible
  continue
  }
  case 2:{
  if(u!==0)
  break
  if(v=r.sint32())
  m.x=v
  else
  delete m.x
  continue
  }
  case 3:{
  if(u!==0)
  break
  if(v=r.sint32())
  m.y=v
  else
  delete m.y
  continue
  }
  case 4:{
  if(u!==0)
  break
  if(v=r.uint32())
  m.hot_x=v
  else
  delete m.hot_x
  continue
  }
  case 5:{
  if(u!==0)
  break
  if(v=r.uint32())
  m.hot_y=v
  else
  delete m.hot_y
  continue
  }
  case 6:{
  if(u!==2)
  break
  if((v=r.bytes()).length)
  m.image=v
  else
  delete m.image
  continue
  }
  }
  r.skipType(u,q,t)
  if(!r.discardUnknown){
  util.makeProp(m,"$unknowns",false);
  (m.$unknowns||(m.$unknowns=[])).push(r.raw(s,r.pos))
  }
  }
  if(l!==undefined){
  if(r.pos!==c)
  throw RangeError("index out of range")
  r.len=l
  }
  if(z!==undefined)
  throw Error("missing end group")
  return m
},
});
}
{
const types = [undefined, undefined, undefined, undefined];
const C = classOf({ type: 0, req_id: 0, tx_id: 0, payload: util.emptyArray });
Object.assign(MESSAGES.StoreMessage, {
encode: function (m,w,q){
  if(!w)
  w=Writer.create()
  if(q===undefined)q=0
  if(q>util.recursionLimit)
  throw Error("max depth exceeded")
  if(m.type!=null&&Object.hasOwnProperty.call(m,"type")&&m.type!==0)
  w.uint32(8).uint32(m.type)
  if(m.req_id!=null&&Object.hasOwnProperty.call(m,"req_id")&&m.req_id!==0)
  w.uint32(16).uint32(m.req_id)
  if(m.tx_id!=null&&Object.hasOwnProperty.call(m,"tx_id")&&m.tx_id!==0)
  w.uint32(24).uint32(m.tx_id)
  if(m.payload!=null&&Object.hasOwnProperty.call(m,"payload")&&m.payload.length)
  w.uint32(34).bytes(m.payload)
  if(m.$unknowns!=null&&Object.hasOwnProperty.call(m,"$unknowns"))
  for(var i=0;i<m.$unknowns.length;++i)
  w.raw(m.$unknowns[i])
  return w
},
decode: function (r,l,z,q,g){
  if(!(r instanceof Reader))
  r=Reader.create(r)
  if(q===undefined)q=0
  if(q>Reader.recursionLimit)
  throw Error("max depth exceeded")
  var c,m,v
  if(l===undefined)
  c=r.len
  else{
  c=r.pos+l
  if(c>r.len)
  throw RangeError("index out of range")
  l=r.len
  r.len=c
  }
  m=g||new C
  while(r.pos<c){
  var s=r.pos
  var t=r.tag()
  if(t===z){
  z=undefined
  break
  }
  var u=t&7
  switch(t>>>=3){
  case 1:{
  if(u!==0)
  break
  if(v=r.uint32())
  m.type=v
  else
  delete m.type
  continue
  }
  case 2:{
  if(u!==0)
  break
  if(v=r.uint32())
  m.req_id=v
  else
  delete m.req_id
  continue
  }
  case 3:{
  if(u!==0)
  break
  if(v=r.uint32())
  m.tx_id=v
  else
  delete m.tx_id
  continue
  }
  case 4:{
  if(u!==2)
  break
  if((v=r.bytes()).length)
  m.payload=v
  else
  delete m.payload
  continue
  }
  }
  r.skipType(u,q,t)
  if(!r.discardUnknown){
  util.makeProp(m,"$unknowns",false);
  (m.$unknowns||(m.$unknowns=[])).push(r.raw(s,r.pos))
  }
  }
  if(l!==undefined){
  if(r.pos!==c)
  throw RangeError("index out of range")
  r.len=l
  }
  if(z!==undefined)
  throw Error("missing end group")
  return m
},
});
}
{
const types = [undefined];
const C = classOf({ bytes: 0 });
Object.assign(MESSAGES.StoreTaken, {
encode: function (m,w,q){
  if(!w)
  w=Writer.create()
  if(q===undefined)q=0
  if(q>util.recursionLimit)
  throw Error("max depth exceeded")
  if(m.bytes!=null&&Object.hasOwnProperty.call(m,"bytes")&&m.bytes!==0)
  w.uint32(8).uint32(m.bytes)
  if(m.$unknowns!=null&&Object.hasOwnProperty.call(m,"$unknowns"))
  for(var i=0;i<m.$unknowns.length;++i)
  w.raw(m.$unknowns[i])
  return w
},
decode: function (r,l,z,q,g){
  if(!(r instanceof Reader))
  r=Reader.create(r)
  if(q===undefined)q=0
  if(q>Reader.recursionLimit)
  throw Error("max depth exceeded")
  var c,m,v
  if(l===undefined)
  c=r.len
  else{
  c=r.pos+l
  if(c>r.len)
  throw RangeError("index out of range")
  l=r.len
  r.len=c
  }
  m=g||new C
  while(r.pos<c){
  var s=r.pos
  var t=r.tag()
  if(t===z){
  z=undefined
  break
  }
  var u=t&7
  switch(t>>>=3){
  case 1:{
  if(u!==0)
  break
  if(v=r.uint32())
  m.bytes=v
  else
  delete m.bytes
  continue
  }
  }
  r.skipType(u,q,t)
  if(!r.discardUnknown){
  util.makeProp(m,"$unknowns",false);
  (m.$unknowns||(m.$unknowns=[])).push(r.raw(s,r.pos))
  }
  }
  if(l!==undefined){
  if(r.pos!==c)
  throw RangeError("index out of range")
  r.len=l
  }
  if(z!==undefined)
  throw Error("missing end group")
  return m
},
});
}

export const METHODS = {
  Process: {
    usage: ['Empty', 'Usage'],
  },
  Control: {
    audit: ['Empty', 'AuditReply'],
  },
  Hypervisor: {
    domctl_create: ['DomctlCreate', 'DomctlCreated'],
    domctl_destroy: ['DomctlDomain', 'Empty'],
    domctl_pause: ['DomctlDomain', 'Empty'],
    domctl_unpause: ['DomctlDomain', 'Empty'],
    domctl_rename: ['DomctlRename', 'Empty'],
    domctl_getdomaininfolist: ['Empty', 'DomainInfoList'],
    domctl_get_domain_state: ['DomctlDomain', 'DomainState'],
    hvm_set_param: ['HvmParam', 'Empty'],
    hvm_get_param: ['HvmParam', 'HvmParam'],
    identify: ['Token', 'DomctlDomain'],
    evtchn_alloc_unbound: ['EvtchnAllocUnbound', 'EvtchnPortArg'],
    evtchn_bind_interdomain: ['EvtchnBindInterdomain', 'EvtchnLocalPort'],
    evtchn_bind_virq: ['EvtchnBindVirq', 'EvtchnPortArg'],
    evtchn_bind_ipi: ['EvtchnBindIpi', 'EvtchnPortArg'],
    evtchn_close: ['EvtchnPortArg', 'Empty'],
    evtchn_send: ['EvtchnPortArg', 'Empty'],
    evtchn_status: ['EvtchnStatus', 'EvtchnStatusReply'],
    evtchn_bind_vcpu: ['EvtchnBindVcpu', 'Empty'],
    evtchn_unmask: ['EvtchnPortArg', 'Empty'],
    evtchn_reset: ['EvtchnReset', 'Empty'],
    guest_attach: ['GuestAttach', 'GuestPages'],
    sched_shutdown: ['SchedShutdown', 'Empty'],
    dm_create_ioreq_server: ['DmCreateIoreqServer', 'DmIoreqServer'],
    dm_get_ioreq_server_info: ['DmIoreqServer', 'DmIoreqServerInfo'],
    dm_map_io_range_to_ioreq_server: ['DmIoRange', 'Empty'],
    dm_unmap_io_range_from_ioreq_server: ['DmIoRange', 'Empty'],
    dm_set_ioreq_server_state: ['DmIoreqServerState', 'Empty'],
    dm_destroy_ioreq_server: ['DmIoreqServer', 'Empty'],
    dm_evtchn_raise: ['DmEvtchnRaise', 'Empty'],
    dm_remote_shutdown: ['DmRemoteShutdown', 'Empty'],
    dm_nr_vcpus: ['DmDomain', 'DmNrVcpus'],
    xenmem_acquire_resource: ['AcquireResource', 'AcquiredResource'],
    privcmd_map_foreign: ['ForeignMap', 'ForeignMemory'],
    privcmd_unmap_foreign: ['ForeignUnmap', 'Empty'],
    privcmd_ioeventfd: ['PrivcmdIoeventfd', 'Empty'],
    privcmd_irqfd: ['PrivcmdIrqfd', 'PrivcmdIrqfdReply'],
    dev_evtchn_open: ['DevEvtchnOpen', 'DevEvtchnPage'],
    dev_evtchn_bind_interdomain: ['DevEvtchnBindInterdomain', 'EvtchnLocalPort'],
    dev_evtchn_bind_virq: ['DevEvtchnBindVirq', 'EvtchnLocalPort'],
    dev_evtchn_bind_unbound_port: ['DevEvtchnBindUnbound', 'EvtchnLocalPort'],
    dev_evtchn_unbind: ['DevEvtchnPort', 'Empty'],
    dev_evtchn_notify: ['DevEvtchnPort', 'Empty'],
    dev_evtchn_eventfd: ['DevEvtchnEventfd', 'DevEvtchnEventfdReply'],
    dev_evtchn_reset: ['DevFd', 'Empty'],
    dev_evtchn_close: ['DevFd', 'Empty'],
    gnttab_setup_table: ['GnttabSetup', 'GnttabTable'],
    gntdev_open: ['GntdevOpen', 'GrantHandle'],
    gntdev_close: ['GntdevOpen', 'Empty'],
    gntdev_map: ['GntdevMap', 'GntdevMapReply'],
    gntdev_unmap: ['GntdevUnmap', 'GntdevUnmapReply'],
    hypercall: ['Hypercall', 'HypercallReply'],
  },
  HypervisorEvents: {
    domain_gone: ['DomainInfo', 'Empty'],
  },
  NotifyEvents: {
    ring: ['Ring', 'Empty'],
  },
  VhostUser: {
    open: ['VhostUserOpen', 'VhostUserSession'],
    message: ['VhostUserMessage', 'VhostUserMessage'],
    close: ['VhostUserClose', 'Empty'],
  },
  VhostUserEvents: {
    backend_message: ['VhostUserMessage', 'Empty'],
  },
  DisplayEvents: {
    flushed: ['DisplayFrame', 'Empty'],
  },
  Display: {
    screenshot: ['ScreenshotRequest', 'Screenshot'],
    screenshot_with_cursor: ['ScreenshotRequest', 'Screenshot'],
    cursor: ['DisplayScanout', 'DisplayCursor'],
    resize: ['DisplayResize', 'Empty'],
    watch: ['DisplayWatch', 'Empty'],
  },
  XenstoreEvents: {
    message: ['StoreMessage', 'Empty'],
    taken: ['StoreTaken', 'Empty'],
  },
};
