-- Cards of workers, as they are kept, and the moment. Writes nothing.
return { make('<d', now), call('HGETALL', NS .. CARDS) }
