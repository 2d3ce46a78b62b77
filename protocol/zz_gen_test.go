package protocol
import ("testing";"os";"fmt";"path/filepath";"bytes";"encoding/binary")
func TestGenSeeds(t *testing.T){
 put:=func(target,name string,v any){ d:=filepath.Join("testdata","fuzz",target); os.MkdirAll(d,0o755)
  var s string
  switch x:=v.(type){case []byte: s=fmt.Sprintf("go test fuzz v1\n[]byte(%q)\n",x); case string: s=fmt.Sprintf("go test fuzz v1\nstring(%q)\n",x)}
  os.WriteFile(filepath.Join(d,name),[]byte(s),0o644)}
 loc:=&Location{Client:[]byte("wallet"),Vault:[]byte("keys"),Record:[]byte("main")}
 id:=bytes.Repeat([]byte{1},16)
 reqs:=map[string]*Request{
  "sign":{Id:id,Operation:"ed25519.sign",Location:loc,Message:[]byte("hello")},
  "generate":{Id:id,Operation:"key.generate",Location:loc,Kind:Ed25519,IdempotencyKey:[]byte("k"),TimeoutMs:1000,Overwrite:true},
  "import":{Id:id,Operation:"key.import",Location:loc,Kind:Ed25519,Secret:make([]byte,80)},
  "list":{Id:id,Operation:"record.list",Location:&Location{Client:[]byte("wallet")},After:make([]byte,72),Limit:10},
  "list-all":{Id:id,Operation:"record.list"},
  "version":{Id:id,Operation:"key.public",Location:&Location{Client:[]byte("c"),Vault:[]byte("v"),Version:version(7)}},
  "head":{Id:id,Operation:"key.public",Location:&Location{Client:[]byte("c"),Vault:[]byte("v"),Head:true}},
  "by-id":{Id:id,Operation:"key.public",Location:&Location{ClientId:make([]byte,24),VaultId:make([]byte,24),RecordId:make([]byte,24)}},
  "to":{Id:id,Operation:"ed25519.sign",To:"b",Location:loc,Message:[]byte{}},
  "can":{Id:id,Operation:"policy.can",Peer:"b",Query:"ed25519.sign",Location:loc},
  "open":{Id:id,Operation:"zone.open",Snapshot:[]byte("PARTI"),More:true,Device:make([]byte,8)},
  "zone-key":{Id:id,Operation:"zone.key",Location:loc},
  "peer-add":{Id:id,Operation:"peer.add",Name:"b",Address:"/ip4/127.0.0.1/tcp/1/p2p/x"},
 }
 for n,r:=range reqs{ b,_:=Marshal(r); put("FuzzUnmarshal",n,b); fb,_:=AppendFrame(nil,&Frame{Id:3,Body:&Frame_Request{Request:r}}); put("FuzzReadFrame",n,fb)}
 for n,r:=range map[string]*Response{"ok":{Status:Status_OK,Signature:make([]byte,64)},"denied":{Status:Status_DENIED},"page":{Status:Status_OK,Entries:[]*Entry{{Location:loc,Kind:Ed25519}},Next:make([]byte,72)},
  "status":{Status:Status_OK,Node:&NodeStatus{PeerId:"x",Zone:&Zone{Pid:1,Layers:[]*Layer{{Name:"seccomp",Active:true}}}}}} {
  fb,_:=AppendFrame(nil,&Frame{Id:3,Body:&Frame_Response{Response:r}}); put("FuzzReadFrame","answer-"+n,fb)}
 put("FuzzReadFrame","too-long",binary.AppendUvarint(nil,MaxFrame+1))
 put("FuzzReadFrame","not-minimal",[]byte{0x80,0})
 put("FuzzReadFrame","cut",[]byte{0x05,0x12})
 put("FuzzReadFrame","unknown-field",lengthDelimited(nested(2,nested(1000,[]byte("x")))))
 put("FuzzReadFrame","unknown-status",lengthDelimited(nested(3,[]byte{8,0x7f})))
 put("FuzzReadFrame","two-bodies",lengthDelimited(append(nested(2,nil),nested(3,nil)...)))
 put("FuzzReadFrame","two-frames",append(lengthDelimited(nested(2,nil)),lengthDelimited(nested(3,nil))...))
 put("FuzzUnmarshal","unknown-field",nested(1000,[]byte("x")))
 put("FuzzUnmarshal","nested-unknown",nested(5,nested(1000,[]byte("x"))))
 put("FuzzUnmarshal","twice",append(nested(5,nested(1,[]byte("a"))),nested(5,nested(2,[]byte("b")))...))
 for i,s:=range []string{"","wallet","wallet/keys","wallet/keys/main","a/b/@7","a/b/@head","a/b/%40head","id:"+"AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA","a%2Fb/%25/%2a","%69d:x","../.","a//b","a/b/@07","%","é/\x00/\xff"} { put("FuzzParseLocation",fmt.Sprintf("%02d",i),s)}
}
